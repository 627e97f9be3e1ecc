"""Flow-matching vision-language-action policies on ROS 2 robots.

Axis letters used in every docstring and shape comment of this package:

====== =====================================================================
letter meaning
====== =====================================================================
B      batch
T      action steps of one chunk (row k is due at ``start + k * dt``)
A      elements of the action vector, in the order of the robot file
S      elements of the state vector, in the order of the robot file
C      cameras
H, W   image height and width [px]; images are uint8 (H, W, 3), RGB
N      position-controlled joints of a motion group
P      points of one trajectory window
====== =====================================================================

Times are integer nanoseconds with the suffix ``_ns``; only configuration files speak in float
seconds (suffix ``_s``). Lengths are metres, angles radians, unless a name says otherwise.

This module imports nothing: ``import vla_ros`` works where neither torch nor rclpy is installed.
"""
