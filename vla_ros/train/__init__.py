"""Training: instructions, losses, optimiser and loop."""
