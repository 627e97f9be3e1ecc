"""The nodes: wiring only, one process each."""
