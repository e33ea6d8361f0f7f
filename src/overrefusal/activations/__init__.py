"""Finding a model's blocks, recording and editing its residual stream."""
