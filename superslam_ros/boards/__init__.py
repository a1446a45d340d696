"""ChArUco boards: what they look like, where they are in an image, and their pose."""
