"""One command's run: processes, shards, files."""
