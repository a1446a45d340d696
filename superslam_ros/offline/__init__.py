"""Runs without ROS: a bag from frames to results, two images, the demo bag."""
