"""Many methods on many tasks with many seeds: a grid of jobs, and what follows from their rows."""
