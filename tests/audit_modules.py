"""Modules to audit: a function as a module, a small network, and one that counts its calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Fn(nn.Module):
    """A function of some layers and the input, as a module."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        """Apply the function."""
        return self.function(x, *self.layers)


class Net(nn.Module):
    """Layers, functional calls, a residual, a concatenation and a shared layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return five scores."""
        x = functional.relu(self.norm(self.stem(x)))
        x = x + self.shared(self.shared(x))
        x = torch.cat([x, functional.max_pool2d(x, 3, 1, 1)], 1)
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Counter(nn.Module):
    """A module that counts its calls, in a buffer and in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.times = 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with noise, and count."""
        self.calls += 1
        self.times += 1
        return x + torch.rand_like(x)
