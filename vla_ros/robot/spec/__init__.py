"""The robot file: what may be written in it, read and checked."""
