"""Models in this process, through transformers: ``hf/NAME-OR-DIR``."""
