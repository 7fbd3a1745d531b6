"""The catalogue: one module a report, holding its recipes and which claim each measures."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from experiments.arguments import check_text
from experiments.catalog import (
    assignment_3,
    digits,
    mnist_2017,
    nn4i_2023_a1,
    nni_2023_ex1,
    tp1_cnn,
)
from experiments.errors import InputError

if TYPE_CHECKING:
    from experiments.study import Study

_STUDIES = {
    module.STUDY.name: module.STUDY
    for module in (nni_2023_ex1, mnist_2017, nn4i_2023_a1, assignment_3, tp1_cnn, digits)
}


def studies() -> tuple[Study, ...]:
    """Return every study of the catalogue."""
    return tuple(_STUDIES.values())


def study(name: str) -> Study:
    """Return the study of this name.

    Raises
    ------
    ValueError
        If there is none; the message names those there are.
    """
    check_text("a report's name", name)
    if name not in _STUDIES:
        near = difflib.get_close_matches(name, _STUDIES, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_STUDIES)}"
        raise InputError(f"report {name!r} is not in the catalogue; {hint}")
    return _STUDIES[name]
