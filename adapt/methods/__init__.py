"""Methods of adaptation."""
