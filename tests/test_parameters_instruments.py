"""Parameter counts and the search for a design miss nothing that fits and accept nothing else."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from theory import test_parameters as chapter
from theory.parameters import Design, conv_parameters, designs, linear_parameters, recover

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNTS = {3: 3172, 20: 46590}


def _module(design: Design, widths: tuple[int, int], image: int) -> nn.Sequential:
    convs = [
        nn.Conv2d(inputs, outputs, kernel, padding=padding)
        for inputs, outputs, kernel, padding in zip(
            (3, widths[0]), widths, design.kernels, design.paddings, strict=True
        )
    ]
    body = nn.Sequential(convs[0], nn.MaxPool2d(design.pool), convs[1], nn.MaxPool2d(design.pool))
    features = body(torch.zeros(1, 3, image, image)).numel()
    return nn.Sequential(body, nn.Flatten(), nn.Linear(features, 10))


@pytest.mark.parametrize("design", list(designs([1, 4], [0, 1], [1, 2, 3])), ids=str)
def test_a_design_counts_what_torch_allocates(design: Design) -> None:
    for widths, image in product([(1, 1), (2, 5)], [11, 14]):
        if design.side(image):
            module = _module(design, widths, image)
            allocated = sum(parameter.numel() for parameter in module.parameters())
            assert design.parameters(widths, image) == allocated


@pytest.mark.parametrize("planted", list(designs([2, 3], [0, 1], [2, 4])), ids=str)
def test_a_planted_design_is_recovered(planted: Design) -> None:
    counts = {first: planted.parameters((first, 2 * first)) for first in (4, 7)}
    found = recover(designs(range(1, 6), range(3), [2, 4]), counts)
    assert found[planted] == (8, 14)


def test_the_search_misses_nothing_that_a_blind_search_finds() -> None:
    family = list(designs([1, 3, 5], [0, 1], [2]))
    blind = {
        design: widths
        for design in family
        for widths in product(range(1, 80), repeat=2)
        if [design.parameters(pair) for pair in zip(COUNTS, widths, strict=True)]
        == list(COUNTS.values())
    }
    assert recover(family, COUNTS) == blind
    assert set(blind.values()) == {(9, 60)}


@pytest.mark.parametrize("wrong", [{3: 3171, 20: 46590}, {3: 3172, 20: 46600}, {4: 3172}])
def test_counts_that_no_design_has_are_not_explained(wrong: dict[int, int]) -> None:
    family = (
        Design((kernel, kernel), (padding, padding))
        for kernel in range(1, 33)
        for padding in range(6)
    )
    assert recover(family, wrong) == {}


def test_a_forgotten_bias_would_be_noticed() -> None:
    assert conv_parameters(3, 20, 5) - conv_parameters(3, 20, 5, bias=False) == 20
    assert linear_parameters(1500, 10) - linear_parameters(1500, 10, bias=False) == 10
    without = 3172 - (3 + 9 + 10)
    assert recover([Design()], {3: without}) == {}


def test_a_design_that_leaves_nothing_is_refused_and_never_found() -> None:
    too_large = Design(kernels=(33, 5))
    assert too_large.side() == 0
    with pytest.raises(ValueError, match="leaves nothing of an image of side 32"):
        too_large.parameters((3, 9))
    assert too_large.second_width(3, 3172) is None
    assert recover([too_large], COUNTS) == {}


def test_a_search_that_stops_before_the_second_solution_turns_its_trial_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_small_kernels(
        family: Iterable[Design], counts: dict[int, int], image: int = 32
    ) -> dict[Design, tuple[int, ...]]:
        return recover((design for design in family if min(design.kernels) > 1), counts, image)

    monkeypatch.setattr(chapter, "recover", without_small_kernels)
    for trial in (
        chapter.test_the_two_counts_leave_two_choices_of_sizes,
        chapter.test_rivals_pad_and_pool_otherwise,
    ):
        with pytest.raises(AssertionError):
            trial()


def test_a_width_is_a_positive_integer() -> None:
    assert Design().second_width(3, 3172) == 9
    assert Design().second_width(3, 3173) is None
    assert Design().second_width(3, Design().parameters((3, 0))) is None
    assert Design().second_width(3, 1) is None
