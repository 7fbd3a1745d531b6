"""Marks for tests that not every system can run."""

from __future__ import annotations

import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the process table of Linux")
