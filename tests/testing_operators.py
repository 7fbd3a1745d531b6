"""Operators to assert on, with their adjoints, and the replay of a failure."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

WEIGHT = torch.tensor([[[1.0, 2.0, 4.0]]], dtype=torch.float64)


def circular(x: torch.Tensor) -> torch.Tensor:
    """Cross-correlate with (1, 2, 4) on the circle."""
    return torch.conv1d(torch.cat([x[..., -1:], x, x[..., :1]], -1), WEIGHT.to(x.dtype))


def circular_adjoint(y: torch.Tensor) -> torch.Tensor:
    """Cross-correlate with the flipped kernel on the circle."""
    return torch.conv1d(torch.cat([y[..., -1:], y, y[..., :1]], -1), WEIGHT.to(y.dtype).flip(-1))


def rough(x: torch.Tensor) -> torch.Tensor:
    """Multiply by weights that no float holds exactly."""
    return x @ torch.full((4, 3), 0.1, dtype=x.dtype)


def rough_back(y: torch.Tensor) -> torch.Tensor:
    """Multiply by the transpose of those weights."""
    return y @ torch.full((3, 4), 0.1, dtype=y.dtype)


def replayed(failure: pytest.ExceptionInfo[AssertionError], **names: Any) -> tuple[Any, Any]:
    """Execute the snippet in a failure's message, and return both sides."""
    snippet = "\n".join(
        line[4:] for line in str(failure.value).splitlines() if line.startswith("    ")
    )
    assert "import numpy as np" in snippet, str(failure.value)
    exec(snippet, names)
    said = re.search(r"# .* = (.+) but .* = (.+)$", snippet.splitlines()[-1])
    at = re.match(r"print\(left(\[.*?\])?,", snippet.splitlines()[-1])
    assert said is not None
    assert at is not None
    for side, value in zip(("left", "right"), said.groups(), strict=True):
        computed = eval(f"{side}{at[1] or ''}.item()", names)
        assert repr(computed) == value  # the numbers in the comment are those of the replay
    assert said[1] != said[2]
    return names["left"], names["right"]
