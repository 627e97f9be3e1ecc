"""Messages <-> values: pure functions, both ways, a module per kind. No node, no clock."""
