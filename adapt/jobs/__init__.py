"""One command's run: role map, seeds, evaluation, files."""
