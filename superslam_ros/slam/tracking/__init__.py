"""Where a frame is: depths, prediction, pose against the map, rest, and the beginning with a single camera."""
