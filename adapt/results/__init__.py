"""What an adapter is worth: evaluation, prediction, figures."""
