"""Recordings in and out, without ROS: opening, reading, topics, calibration, writing."""
