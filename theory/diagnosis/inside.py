"""What an operator's graph shows of its inside, where it has one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.amplification import Amplification, amplification
from theory.diagnosis.generators import TORCH, Generators
from theory.diagnosis.inputs import probes
from theory.diagnosis.randomness import drawn
from theory.diagnosis.search import Trials
from theory.diagnosis.structure import UNSEEN, Structure, interpret
from theory.diagnosis.tracing import UntraceableError, trace
from theory.diagnosis.values import largest_at_zero

if TYPE_CHECKING:
    from collections.abc import Sequence

    from theory.diagnosis.calling import Operator

_TRACE_CHECKED = 5
"""Every so many-th of the probes, which begin with zero, has to agree with the graph.

On the others the search for witnesses holds the operator against what the graph proves.
"""

_HUGE = (1e15, 1e30)
"""Magnitudes, beyond those of the probes, at which the graph has to agree as well."""


@dataclass(frozen=True)
class Inside:
    """What a graph shows, or why there is none.

    Attributes
    ----------
    structure : Structure
        What it proves: nothing where there is no graph.
    held : float, optional
        The largest magnitude inside at zero; None where there is no graph.
    amplified : Amplification, optional
        What of the rounding inside reaches the output; None where no graph shows it.
    draws : str
        The primitive that draws random numbers which its output is made of; empty if there is none.
    untraceable : str
        Why there is no graph; empty where there is one.
    """

    structure: Structure
    held: float | None
    amplified: Amplification | None
    draws: str
    untraceable: str

    def drawing(self, moved: Sequence[str]) -> str:
        """Return, as a sentence, how random numbers get into the output; empty if they do not.

        A graph says whether what it draws matters, and draws all that the operator draws from
        torch. It shows nothing of other generators, and these are taken to matter.

        Parameters
        ----------
        moved : sequence of str
            The generators that calls of the operator have moved.
        """
        if self.draws:
            return f"its graph draws random numbers ({self.draws})"
        unseen = [name for name in moved if name != TORCH or self.untraceable]
        return f"it draws random numbers from {' and '.join(unseen)}" if unseen else ""


def look_inside(operator: Operator, rng: np.random.Generator) -> Inside:
    """Trace an operator, and let it know of the coarsest type that it computes in.

    Parameters
    ----------
    operator : Operator
        The operator.
    rng : numpy.random.Generator
        For the random inputs among those on which its graph has to agree with it.
    """
    before = Generators.now()
    try:
        return _look_inside(operator, rng)
    finally:
        before.restore()  # what a graph draws tells nothing of what the operator draws


def _look_inside(operator: Operator, rng: np.random.Generator) -> Inside:
    inputs = list(probes(operator.shape, rng, operator.significand))[::_TRACE_CHECKED]
    signs = rng.choice((-1.0, 1.0), operator.shape)
    inputs += [size * each for size in _HUGE for each in (signs, -signs)]
    try:
        graph = trace(operator, inputs)
    except UntraceableError as why:
        return Inside(UNSEEN, None, None, "", str(why))
    structure = interpret(graph)
    operator.computes_in(structure.coarsest)
    held = largest_at_zero(graph, operator.wrap(inputs[0]))
    return Inside(structure, held, amplification(operator, graph), drawn(graph), "")


def examined(operator: Operator, budget: int, seed: int) -> Trials:
    """Return an operator, in the state in which it was given, under trial with what shows inside.

    Parameters
    ----------
    operator : Operator
        The operator.
    budget, seed : int
        As in `theory.diagnose`.
    """
    inside = look_inside(operator, np.random.default_rng(seed))
    operator.reset()
    return Trials(operator, budget, inside.held, inside.amplified)
