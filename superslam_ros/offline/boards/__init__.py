"""Boards in image files, folders and bags: found, and made into calibrations."""
