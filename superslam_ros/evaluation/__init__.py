"""Measuring: repeatability, homographies, poses, trajectories; ORB and SIFT always beside SuperPoint."""
