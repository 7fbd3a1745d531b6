"""The search for a design finds all designs that have the counts, and no other."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.allocated import allocated
from theory.recovery import Design, designs, recover

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
            assert design.parameters(widths, image) == allocated(module)


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


def test_numbers_of_a_design_are_those_of_python() -> None:
    """Red if a list makes a design that no dictionary takes, or a narrow number wraps around."""
    given: Any = [np.int8(5), np.int8(5)]
    design = Design(kernels=given, paddings=(np.int8(100), 0), pool=np.int8(2))
    assert {design: 1} == {Design(paddings=(100, 0)): 1}
    assert type(design.kernels[0]) is type(design.pool) is int
    assert design.side(np.int8(100)) == Design(paddings=(100, 0)).side(100) == 72
    narrow: Any = np.int8(100)
    assert Design().parameters((narrow, narrow), narrow, narrow, narrow) == Design().parameters(
        (100, 100), 100, 100, 100
    )
    width = Design().second_width(3, np.uint16(3172))
    assert (width, type(width)) == (9, int)


def test_a_design_that_leaves_nothing_is_refused_and_never_found() -> None:
    too_large = Design(kernels=(33, 5))
    assert too_large.side() == 0
    with pytest.raises(ValueError, match="leaves nothing of an image of side 32"):
        too_large.parameters((3, 9))
    assert too_large.second_width(3, 3172) is None
    assert recover([too_large], COUNTS) == {}


def test_a_width_is_a_positive_integer() -> None:
    assert Design().second_width(3, 3172) == 9
    assert Design().second_width(3, 3173) is None
    one, two = (Design().parameters((3, width)) for width in (1, 2))
    assert Design().second_width(3, one - (two - one)) is None
    assert Design().second_width(3, 1) is None


def test_one_filter_is_the_smallest_width() -> None:
    assert Design().second_width(3, Design().parameters((3, 1))) == 1


def test_images_of_another_side_are_searched_alike() -> None:
    """Red if any step of the search falls back to the side of 32 pixels."""
    count = Design().parameters((3, 9), 28)
    assert count != Design().parameters((3, 9))
    assert Design().second_width(3, count, 28) == 9
    assert recover([Design()], {3: count}, 28) == {Design(): (9,)}
    assert recover([Design()], {3: count}) == {}
    assert Design().second_width(3, count, 4) is None
    unpooled = Design(pool=1)  # whose count changes with every pixel
    assert unpooled.second_width(3, unpooled.parameters((3, 9), 32)) == 9
    assert recover([unpooled], {3: unpooled.parameters((3, 9), 32)}) == {unpooled: (9,)}


def test_a_kernel_that_does_not_fit_leaves_nothing_for_the_next_one() -> None:
    assert Design(kernels=(33, 1), pool=1).side() == 0
    assert Design(kernels=(1, 33), paddings=(0, 1), pool=1).side() == 2
