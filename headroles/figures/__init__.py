"""Pictures, one file a result."""
