"""The ROS 2 door: convert, call a stage, publish. The only room that imports rclpy and message packages."""
