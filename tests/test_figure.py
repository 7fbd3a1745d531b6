"""Figures of a diagnosis: what is drawn, what is said to those who do not see it, and where to."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from theory import diagnose
from theory.figure import describe, draw, svg

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

SVG = "{http://www.w3.org/2000/svg}"


def _panels(figure: Figure) -> dict[str, Any]:
    """Return the panels by title; scales have none."""
    return {axes.get_title("left"): axes for axes in figure.axes if axes.get_title("left")}


def _heights(axes: Any) -> list[float]:
    return [bar.get_height() for bar in axes.patches]


def test_a_witness_and_its_two_sides() -> None:
    panels = _panels(draw(diagnose(nn.ReLU(), (4,))))
    assert list(panels) == ["x", "y", "f(x + y)", "f(x) + f(y)"]
    assert _heights(panels["x"]) == [1, 0, 0, 0]
    assert _heights(panels["y"]) == [-1, 0, 0, 0]
    assert _heights(panels["f(x + y)"]) == [0, 0, 0, 0]
    assert _heights(panels["f(x) + f(y)"]) == [1, 0, 0, 0]
    assert {axes.get_ylim() for axes in panels.values()} == {(-1.3, 1.3)}
    assert panels["x"].get_xlabel() == "cell"
    assert panels["x"].get_ylabel() == "value"


def test_a_kernel() -> None:
    panels = _panels(draw(diagnose(lambda x: 3 * x.roll(1, -1), (4,))))
    assert list(panels) == ["kernel"]
    assert _heights(panels["kernel"]) == [0, 3, 0, 0]


def test_kernels_of_many_channels_are_counted() -> None:
    conv = nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular", bias=False)
    diagnosis = diagnose(conv, (3, 4, 4))
    panels = _panels(draw(diagnosis))
    assert list(panels) == ["kernel[0, 0]", "kernel[0, 1]", "kernel[0, 2]", "kernel[1, 0] of 6"]
    drawn = panels["kernel[0, 2]"].images[0].get_array()
    assert diagnosis.kernel is not None
    np.testing.assert_array_equal(np.asarray(drawn), diagnosis.kernel[0, 2])


def test_both_sides_show_the_channel_in_which_they_differ() -> None:
    def second_channel(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[0] * 5, x[1].relu()])

    panels = _panels(draw(diagnose(second_channel, (2, 3, 3))))
    left, right = (
        np.asarray(panels[title].images[0].get_array()) for title in ("f(x + y)", "f(x) + f(y)")
    )
    assert np.abs(left - right).max() == 1


@pytest.mark.parametrize(
    ("op", "shape", "options"),
    [
        (nn.AvgPool2d(2), (1, 4, 4), {}),
        (nn.Linear(6, 6, bias=False), (6,), {"boundary": "interior"}),
        (nn.Dropout(), (4,), {}),
        (np.fft.fft, (8,), {}),
        (torch.sum, (8,), {}),
        (nn.Identity(), (1, 4, 4, 4), {}),
        (lambda x: torch.where(x > 2, torch.nan, x), (4,), {}),
        (lambda x: x.abs() * 0 + torch.nan, (4,), {}),
    ],
)
def test_every_diagnosis_can_be_drawn(op: Any, shape: tuple[int, ...], options: Any) -> None:
    diagnosis = diagnose(op, shape, **options)
    root = ElementTree.fromstring(svg(diagnosis))
    description = root.findtext(f"{SVG}desc")
    assert description == describe(diagnosis)


def test_the_picture_says_what_it_shows() -> None:
    root = ElementTree.fromstring(svg(diagnose(nn.ReLU(), (4,))))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title desc"
    assert root.findtext(f"{SVG}title") == "ReLU, (4,) to (4,), circular boundary"
    description = root.findtext(f"{SVG}desc") or ""
    assert "linear: no, refuted." in description
    assert "f(x + y) = 0 but f(x) + f(y) = 1 at 0" in description


def test_names_are_no_markup() -> None:
    def odd(x: torch.Tensor) -> torch.Tensor:
        return x

    odd.__name__ = "<b>&"
    root = ElementTree.fromstring(svg(diagnose(odd, (4,))))
    assert (root.findtext(f"{SVG}title") or "").startswith("<b>&,")


def test_the_same_diagnosis_gives_the_same_bytes() -> None:
    assert svg(diagnose(nn.ReLU(), (4,))) == svg(diagnose(nn.ReLU(), (4,)))


def test_the_command_writes_the_figure(
    theory_command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "relu.svg"
    arguments = ("diagnose", "torch.nn:ReLU", "--shape", "4", "--figure", path)
    code, out, _ = theory_command(*arguments)
    assert code == 0
    assert path.read_text("utf-8") == svg(diagnose(nn.ReLU(), (4,)))
    assert "ReLU: (4,) -> (4,)" in out


@pytest.mark.parametrize("name", ["relu.png", "missing/relu.svg", "folder.svg"])
def test_a_figure_that_cannot_be_written_is_one_line(
    theory_command: Callable[..., tuple[int, str, str]], tmp_path: Path, name: str
) -> None:
    (tmp_path / "folder.svg").mkdir()
    arguments = ("diagnose", "torch.nn:ReLU", "--shape", "4", "--figure", tmp_path / name)
    code, out, err = theory_command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: --figure ")
    assert err.count("\n") == 1
