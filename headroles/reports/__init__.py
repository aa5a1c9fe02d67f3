"""One page about all of it."""
