"""Files with messages: MCAP, SQLite and ROS 1, whole, damaged or cut off; what cannot be read is reported by name."""
