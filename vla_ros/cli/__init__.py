"""The `vla` command: one module per verb."""
