"""The ROS 2 nodes: convert, call a stage, publish. Nothing else imports rclpy or message packages."""
