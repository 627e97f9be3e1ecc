"""What each kind of output makes of the action vector's columns."""
