"""The simulated robot, its scenes, the scripted expert and the judge. No ROS inside."""
