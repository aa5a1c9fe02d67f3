"""The one error for a user's mistake; commands print it as one line and exit with 2."""


class InputError(ValueError):
    """Something given from outside does not fit: says what was expected, what came and what to do."""


class ToldElsewhere(InputError):
    """The same mistake in one of several processes; the main one says it, this one only ends."""
