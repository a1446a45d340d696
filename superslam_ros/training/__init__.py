"""Making the weights: synthetic shapes, homographic adaptation, joint training; no ROS, one loop for every stage."""
