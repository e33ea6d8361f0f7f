"""Models: one file a kind, named by a spec."""
