"""What a node tells of its work: diagnostics, the log, and why nothing comes."""
