"""Bags and images in, results out, without ROS; and the command line."""
