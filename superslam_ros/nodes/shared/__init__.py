"""What the nodes share: the base class, parameters, the worker, the process."""
