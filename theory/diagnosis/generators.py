"""The random generators that an operator may draw from, and which of them have moved.

Those of the whole process are the global ones of Python and NumPy, and torch's default ones on the
CPU and, once it is in use, on CUDA. An operator may hold generators of its own: seen are those that
are attributes of the callable, or of a module in it. What draws from neither, such as a clock, the
operating system or a generator that a closure or a list holds, does not show here.
"""

from __future__ import annotations

import pickle
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

TORCH = "torch's generator"
"""The name of torch's default generators, from which a graph may draw as well."""


@dataclass(frozen=True, eq=False)
class Generators:
    """The states of the generators of the whole process, at one time.

    Attributes
    ----------
    python, numpy : object
        Those of Python and NumPy.
    cpu : torch.Tensor
        That of torch on the CPU.
    cuda : list of torch.Tensor
        Those of torch on each GPU; empty where CUDA is not in use.
    """

    python: Any
    numpy: Any
    cpu: torch.Tensor
    cuda: list[torch.Tensor]

    @classmethod
    def now(cls) -> Generators:
        """Return the present states."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda)  # noqa: NPY002

    def restore(self) -> None:
        """Put the generators back into these states."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)

    def moved(self) -> tuple[str, ...]:
        """Return the names of the generators that are in another state by now."""
        after = Generators.now()
        unlike = {
            "Python's generator": self.python != after.python,
            "NumPy's global generator": _packed(self.numpy) != _packed(after.numpy),
            TORCH: not torch.equal(self.cpu, after.cpu)
            or not all(map(torch.equal, self.cuda, after.cuda)),
        }
        return tuple(name for name, differs in unlike.items() if differs)


def owned(op: object) -> dict[str, bytes]:
    """Return the states of the generators that an operator holds as attributes, by their names.

    Parameters
    ----------
    op : object
        The callable.
    """
    holders = op.named_modules() if isinstance(op, torch.nn.Module) else [("", op)]
    held = {
        f"{path}.{name}".lstrip("."): getattr(value, "__self__", value)  # of a method, its owner
        for path, holder in holders
        for name, value in getattr(holder, "__dict__", {}).items()
    }
    shared = (random.random.__self__, np.random.rand.__self__)  # type: ignore[attr-defined]
    kinds = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
    return {
        name: _packed(_state(each))
        for name, each in held.items()
        if isinstance(each, kinds) and each not in shared
    }


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return generator.get_state().numpy()


def _packed(state: Any) -> bytes:
    """Return a state that may hold arrays as what can be compared."""
    return pickle.dumps(state)
