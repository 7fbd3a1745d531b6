"""Whether an operator is additive and homogeneous, hence linear; or affine.

The structure of the operator can prove; and linear only where no constant is added but a given
zero, for an f(0) that is computed to be 0 proves nothing. The search for a witness can refute, and
is run against a proof as well: a table of primitives may be wrong, a witness is not. One witness
against what a structure is said to prove voids all that it is said to prove.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from theory.diagnosis.equations import Equation
from theory.diagnosis.findings import SINGLE, Finding
from theory.diagnosis.inputs import pairs, probes
from theory.diagnosis.search import CLEAR, Trials
from theory.diagnosis.structure import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from theory.diagnosis.calling import Array, Operator
    from theory.diagnosis.equations import Property
    from theory.diagnosis.findings import Certainty
    from theory.diagnosis.inside import Inside
    from theory.diagnosis.structure import Structure

_SCALARS = (-1.0, 2.0, 0.5, -3.0, 2.0**20)


@dataclass(frozen=True, eq=False)
class Linearity:
    """The findings on linearity.

    Attributes
    ----------
    additive, homogeneous, linear, affine : Finding
        Whether the operator is, and how that is known.
    void : bool
        Whether a witness speaks against what the structure proves, so that it proves nothing.
    """

    additive: Finding
    homogeneous: Finding
    linear: Finding
    affine: Finding
    void: bool


def judge_linearity(trials: Trials, inside: Inside, rng: np.random.Generator) -> Linearity:
    """Return the findings on linearity.

    Parameters
    ----------
    trials : Trials
        The operator under trial.
    inside : Inside
        What its graph proves, or why it has none.
    rng : numpy.random.Generator
        For the random inputs.
    """
    offset = trials(np.zeros(trials.operator.shape))
    structure = inside.structure
    linear_by_structure = structure.is_affine and not offset.any()
    proof = _proof(structure) if structure.is_affine else ""
    # The proof is of exact arithmetic, where constants that cancel here may leave an offset.
    only_computed = linear_by_structure and not structure.is_linear
    zero = " and f(0) = 0" if only_computed else ""
    doubt = _doubt(inside)

    def judge(prop: Property, expected: bool, void: bool = False) -> Finding:
        threshold = CLEAR if expected and not void else 1.0
        attempts = _attempts(prop, trials.operator, rng)
        violations = (each for each in attempts if trials.excess(*each) > threshold)
        witness, advice = trials.clearest_witness(violations) or (None, "")
        if witness is not None:
            against = ""
            if expected:
                blame = "rounding is amplified, or the table of primitives is wrong"
                against = f", although {proof}{zero}: {blame}"
            return Finding(False, "refuted", f"{Equation(prop)} fails{against}{advice}", witness)
        if trials.failure or trials.not_finite:
            why = trials.failure or trials.not_finite
            return Finding(None, "undecided", f"no witness, but {why}")
        if void:
            return Finding(True, "sampled", "no witness found; a witness speaks against its proof")
        if expected and only_computed:
            why = f"{proof}{zero}, but only as computed: rounding may hide an offset"
            return Finding(True, "sampled", f"no witness found; {why}")
        if expected:
            return Finding(True, "proved", proof)
        return Finding(True, "sampled", f"no witness found; {doubt}")

    additive = judge("additive", linear_by_structure)
    homogeneous = judge("homogeneous", linear_by_structure)
    void = linear_by_structure and False in (additive.holds, homogeneous.holds)
    if void and additive.holds:
        additive = judge("additive", expected=True, void=True)
    if void and homogeneous.holds:
        homogeneous = judge("homogeneous", expected=True, void=True)
    linear = both({"additive": additive, "homogeneous": homogeneous})
    # What is linear is affine: no search for a witness could add anything.
    affine = additive if linear.holds else judge("affine", structure.is_affine, void)
    if linear.holds and only_computed:
        affine = Finding(True, "proved", proof)
    if affine.holds and linear.holds is False and not offset.any():
        affine = replace(linear, reason=f"f(0) = 0, but {linear.reason}")
    void = void or (structure.is_affine and affine.holds is False)
    return Linearity(additive, homogeneous, linear, affine, void)


def both(findings: dict[str, Finding]) -> Finding:
    """Return the finding that several properties hold together, no more certain than the weakest.

    Parameters
    ----------
    findings : dict
        Name of each property, and whether it holds.
    """
    for name, finding in findings.items():
        if finding.holds is False:
            advice = SINGLE if finding.may_be_rounding else ""
            return replace(finding, reason=f"not {name}{advice}")
    for name, finding in findings.items():
        if finding.holds is None:
            return replace(finding, reason=f"{name}? {finding.reason}")
    certainties: tuple[Certainty, ...] = ("sampled", "exhausted", "proved")
    weakest = min((f.certainty for f in findings.values()), key=certainties.index)
    return Finding(True, weakest, " and ".join(findings))


def _proof(structure: Structure) -> str:
    if structure.level is Level.CONSTANT:
        return "its output is constant"
    used = ", ".join(structure.primitives[:6]) + (", ..." if len(structure.primitives) > 6 else "")
    names = f" ({used})" if used else ""
    return f"every primitive is {'linear' if structure.is_linear else 'affine'}{names}"


def _doubt(inside: Inside) -> str:
    structure = inside.structure
    if inside.untraceable:
        return f"not provable from its structure: {inside.untraceable}"
    if structure.level is Level.UNKNOWN:
        return (
            f"not provable: primitive {structure.culprit} is unknown, random, writes in place, or "
            "has a shape or raises an error that depends on values"
        )
    if structure.level is Level.NONLINEAR:
        return f"not provable: primitive {structure.culprit} is nonlinear"
    return "not provable from its structure"


def _attempts(
    prop: Property, operator: Operator, rng: np.random.Generator
) -> Iterator[tuple[Equation, tuple[Array, ...]]]:
    if prop == "homogeneous":
        for x in probes(operator.shape, rng, operator.significand):
            for c in _SCALARS:
                yield Equation(prop, scalar=c), (x,)
    else:
        for pair in pairs(operator.shape, rng, operator.significand):
            yield Equation(prop), pair
