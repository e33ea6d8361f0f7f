"""Statistics: rates with intervals, paired comparison, judge-error correction, Pareto front."""
