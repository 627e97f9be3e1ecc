"""Who commands the robot, what is executed, and when it stops."""
