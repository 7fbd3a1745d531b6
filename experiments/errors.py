"""What the user of a command can mend, told apart from what only its authors can."""

from __future__ import annotations


class InputError(ValueError):
    """Wrong input, named in words that say what to do; the command line prints just these.

    Any other `ValueError`, from NumPy or PyTorch say, is a fault of the program and keeps its
    traceback.
    """


class SweepError(RuntimeError):
    """A sweep that could not finish; the message says why and what to do."""
