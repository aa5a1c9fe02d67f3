"""The `headroles` command: one file a command; each parses options, makes one library call and prints one message."""
