"""Keyframes and landmarks around the camera, and their adjustment."""
