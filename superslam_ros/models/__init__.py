"""The networks: tensors in, tensors out, and the only reader and writer of checkpoints."""
