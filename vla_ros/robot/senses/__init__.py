"""The robot's eyes and joints as observations."""
