"""The command line, one file a command; nothing else of the library parses arguments."""
