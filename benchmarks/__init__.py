"""Every figure of the README, from commands that anyone can run: `python -m benchmarks NAME`."""
