"""The robot file and what is built from it: spaces, limits, the observer, the commander."""
