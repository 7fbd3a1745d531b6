"""How hypothesis draws its examples: the same ones in each run, however slow the machine is.

A trial that fails has to fail again, and a deadline would fail where the machine has other work.
"""

from __future__ import annotations

from hypothesis import settings

PROFILE, VARIED = "convlaws", "convlaws-varied"
"""The same examples in each run; those of ``--hypothesis-seed``, with ``--hypothesis-profile``."""


def load_profiles() -> None:
    """Register both, and use the first unless pytest is told otherwise."""
    same = settings(derandomize=True, deadline=None, database=None)
    settings.register_profile(PROFILE, same)
    settings.register_profile(VARIED, same, derandomize=False)
    settings.load_profile(PROFILE)
