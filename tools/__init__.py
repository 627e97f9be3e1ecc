"""What runs around the package: set-up and environment. Standard library only."""
