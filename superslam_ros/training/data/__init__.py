"""What the networks are trained on: photographs, synthetic shapes, rendered scenes, recordings; and pairs of views."""
