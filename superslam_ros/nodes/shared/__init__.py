"""What the nodes share: the base class, parameters, inputs, publishers, diagnostics."""
