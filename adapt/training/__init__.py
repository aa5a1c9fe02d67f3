"""One training: steps, checkpoints, cached trunks, processes."""
