"""`python -m headroles`, for launchers such as `torchrun -m headroles score`."""

from importlib import import_module

if __name__ == "__main__":
    # Named at run time: the library does not depend on its command line.
    import_module("headroles.cli.main").main()
