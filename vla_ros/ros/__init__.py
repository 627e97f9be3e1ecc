"""What the nodes share to stand on ROS 2: lifecycle, parameters, QoS, time, conversions."""
