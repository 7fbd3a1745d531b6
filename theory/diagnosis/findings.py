"""What a diagnosis says: one finding per property, each with its certainty and its witness."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from theory.diagnosis.calling import Array
from theory.diagnosis.witnesses import Witness, to_json

Certainty = Literal["proved", "exhausted", "sampled", "refuted", "undecided"]
"""How a finding is known; see `Finding`."""

SINGLE = (
    "; of the size of single-precision rounding: "
    "give dtype float32 if values inside or weights were computed in that"
)
"""What a reason ends with where such rounding may be all there is to a witness."""

_WIDTH = 100
_HEADINGS = ("property", "holds", "certainty", "why")
_WORDS = {True: "yes", False: "no", None: "?"}
_PROPERTIES = (
    "deterministic",
    "linear",
    "affine",
    "homogeneous",
    "additive",
    "shift_equivariant",
    "lti",
)


@dataclass(frozen=True, eq=False)
class Finding:
    """Whether one property holds, and how that is known.

    Attributes
    ----------
    holds : bool or None
        None where it could not be decided.
    certainty : str
        ``proved`` (from the structure, for every input of the shape), ``exhausted`` (every case of
        a finite set), ``sampled`` (a search found nothing against it: no proof), ``refuted`` (a
        witness or the shapes stand against it), ``undecided``.
    reason : str
        One sentence.
    witness : Witness, optional
        The inputs that break the property.
    """

    holds: bool | None
    certainty: Certainty
    reason: str
    witness: Witness | None = None

    @property
    def may_be_rounding(self) -> bool:
        """Whether rounding in single precision may be all there is to the witness."""
        return self.reason.endswith(SINGLE)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-ready values."""
        return {
            "holds": self.holds,
            "certainty": self.certainty,
            "reason": self.reason,
            "witness": None if self.witness is None else self.witness.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What an operator on inputs of one shape is. Made by `theory.diagnose`.

    Attributes
    ----------
    operator : str
        Name of the operator.
    shape, output_shape : tuple of int
        Shapes of one input and output, without batch.
    dtype : str
        The precision of the inputs.
    boundary : str
        How shifts treat the border: ``circular`` or ``interior``.
    deterministic, linear, affine, homogeneous, additive, shift_equivariant, lti : Finding
        The findings. LTI means linear and shift-equivariant at equal rate: the output moves by as
        many cells as the input.
    period : tuple of (int or None)
        For each shifted axis the smallest input shift that shifts the output in proportion: 1 is
        equivariant, None is not equivariant under any shift but the full turn.
    border : tuple of (int or None)
        For each shifted axis how many output cells at either end do not follow these shifts: none
        on the circle; in the interior those that depend on what is beyond the ends, and no more.
        A shift is not followed if cells differ that, seeing what the middle ones see, see no end.
    period_certainty : str
        How the period is known: ``proved``, ``exhausted`` or ``sampled``; ``undecided`` where no
        shift could be tried, the budget ended before one was found that is followed, or an input
        has no output.
    shift_invariance : str, optional
        How it is known, ``exhausted`` or ``sampled``, that the output stays while the input moves
        round the circle; None where that is not so or not known, and where shifts by one cell are
        followed.
    kernel : array, optional
        When LTI: the response to the unit impulse in each input channel, at the origin of the
        circle, or in the middle cell of the interior; shape ``(c_out, c_in, *spatial)`` without the
        channel axes that input or output do not have.
    offset : array, optional
        When affine: f(0).
    warnings : tuple of str
        What may not be the question that was meant, one sentence each.
    """

    operator: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    dtype: str
    boundary: str
    deterministic: Finding
    linear: Finding
    affine: Finding
    homogeneous: Finding
    additive: Finding
    shift_equivariant: Finding
    lti: Finding
    period: tuple[int | None, ...]
    border: tuple[int | None, ...]
    period_certainty: Certainty
    shift_invariance: Certainty | None
    kernel: Array | None
    offset: Array | None
    warnings: tuple[str, ...] = ()

    @property
    def findings(self) -> dict[str, Finding]:
        """The findings by name."""
        return {name: getattr(self, name) for name in _PROPERTIES}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "operator": self.operator,
            "shape": list(self.shape),
            "output_shape": list(self.output_shape),
            "dtype": self.dtype,
            "boundary": self.boundary,
            **{name: finding.to_dict() for name, finding in self.findings.items()},
            "period": list(self.period),
            "border": list(self.border),
            "period_certainty": self.period_certainty,
            "shift_invariance": self.shift_invariance,
            "kernel": None if self.kernel is None else to_json(self.kernel),
            "offset": None if self.offset is None else to_json(self.offset),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        page = io.StringIO()
        Console(file=page, width=_WIDTH, color_system=None, force_terminal=False).print(self)
        return "\n".join(line.rstrip() for line in page.getvalue().splitlines())

    def __rich__(self) -> Group:
        table = Table(*_HEADINGS, box=None, pad_edge=False)
        for name, finding in self.findings.items():
            style = {True: "green", False: "red", None: "yellow"}[finding.holds]
            holds = Text(_WORDS[finding.holds], style=style)
            table.add_row(name, holds, finding.certainty, Text(finding.reason))
        notes = Table(box=None, pad_edge=False, show_header=False)
        for note, text in self._notes().items():
            notes.add_row(note, Text(text))
        return Group(Text(self._title(), style="bold"), "", table, "", notes)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{name}</th><td>{_WORDS[finding.holds]}</td>"
            f"<td>{finding.certainty}</td><td>{html.escape(finding.reason)}</td></tr>"
            for name, finding in self.findings.items()
        )
        notes = "".join(
            f"<dt>{note}</dt><dd>{html.escape(text)}</dd>" for note, text in self._notes().items()
        )
        head = "".join(f"<th scope='col'>{heading}</th>" for heading in _HEADINGS)
        return (
            f"<table><caption>{html.escape(self._title())}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><dl>{notes}</dl>"
        )

    def _title(self) -> str:
        precision = "" if self.dtype == "float64" else f", {self.dtype}"
        shapes = f"{self.shape} -> {self.output_shape}"
        return f"{self.operator}: {shapes}, {self.boundary} boundary{precision}"

    def _notes(self) -> dict[str, str]:
        """Return what the table of findings leaves out: period, kernel, witnesses and so on."""
        no = "?" if self.period_certainty == "undecided" else "none"
        notes = {"period": _listed(self.period, no)}
        if self.boundary == "interior":
            notes["border"] = _listed(self.border, no)
        if self.kernel is not None:
            notes["kernel"] = f"shape {self.kernel.shape}, {_brief(self.kernel)}"
        if self.offset is not None and self.offset.any():
            notes["offset"] = f"f(0) = {_brief(self.offset)}"
        for name, finding in self.findings.items():
            if finding.witness is not None and finding.witness.property == name:
                notes[f"{name} fails"] = str(finding.witness)
        if self.warnings:
            notes["warning"] = "; ".join(self.warnings)
        return notes


def but_for(faint: float, of: str, double: bool) -> str:
    """Return how a reason goes on where responses agree but for what the bound lets pass.

    Parameters
    ----------
    faint : float
        The largest of those differences, as a share.
    of : str
        What it is a share of.
    double : bool
        Whether the operator was called in double precision.
    """
    finer = "" if double else "; give float64"
    return f", but for differences of up to {faint:.1g} of {of}: too faint to refute{finer}"


def words(values: Sequence[int | None]) -> str:
    """Return some numbers as words, without brackets if there is one."""
    return _listed(values) if len(values) == 1 else f"({_listed(values)})"


def _listed(values: Sequence[int | None], no: str = "none") -> str:
    return ", ".join(no if v is None else str(v) for v in values)


def _brief(values: Array) -> str:
    if values.size > 16:
        return f"{values.size} values from {values.min():.6g} to {values.max():.6g}"
    return str(to_json(values.round(6)))
