"""Refusal and over-refusal directions: extraction, selection, ablation, addition."""
