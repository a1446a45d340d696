"""What goes into nodes and comes out of them: messages, objects, transforms."""
