"""Messages <-> values: pure functions, both ways, one module per kind of value. No node, no clock."""
