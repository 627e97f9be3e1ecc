"""Networks of real size with random weights, ours and LeRobot's, for `inference`."""
