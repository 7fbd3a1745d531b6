"""Convolutions of images side by side are those of one by one."""

from __future__ import annotations

import pytest
import torch

from experiments.speed import side_by_side


def whole_numbers(*shape, seed):
    numbers = torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed))
    return numbers.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (8, 8)])
@pytest.mark.parametrize("images", [16, 32])
def test_gradients_side_by_side_are_those_of_one_by_one(monkeypatch, size, images):
    """Whole numbers: every sum of the reference is one that bfloat16 rounds once, at the end."""
    x = whole_numbers(images, 4, *size, seed=0).requires_grad_()
    layer = side_by_side.SmallMapConv2d(4, 6)
    layer.weight.data = whole_numbers(6, 4, 3, 3, seed=1).float()
    gradient = whole_numbers(images, 6, *size, seed=2)
    seen = []
    laid = side_by_side.side_by_side
    monkeypatch.setattr(
        side_by_side, "side_by_side", lambda maps, gap: seen.append(maps) or laid(maps, gap)
    )
    with torch.autocast("cpu", torch.bfloat16):
        scores = layer(x)
    scores.backward(gradient)
    assert len(seen) == 2

    exact = [t.detach().double() for t in (x, layer.weight, gradient)]
    plain = exact[0].requires_grad_(), exact[1].requires_grad_()
    expected = torch.nn.functional.conv2d(*plain, padding=1)
    expected.backward(exact[2])
    for found, wanted in (
        (scores, expected.detach()),
        (x.grad, plain[0].grad),
        (layer.weight.grad, plain[1].grad),
    ):
        assert torch.equal(found.double(), wanted.to(torch.bfloat16).double())


def test_no_image_sees_its_neighbour():
    maps = whole_numbers(32, 2, 2, 3, seed=0)
    wide = side_by_side.side_by_side(maps, 1)
    assert wide.shape == (2, 2, 2, 16 * 4)
    assert wide.is_contiguous(memory_format=torch.channels_last)
    for image, part in enumerate(wide[1].split(4, dim=2)):
        assert torch.equal(part[:, :, :3], maps[16 + image])
        assert not part[:, :, 3].any()


@pytest.mark.parametrize(
    ("images", "width", "dtype"),
    [(15, 4, torch.bfloat16), (16, 9, torch.bfloat16), (16, 4, torch.float32)],
)
def test_other_maps_take_the_plain_way(monkeypatch, images, width, dtype):
    monkeypatch.setattr(side_by_side, "_Convolution", None)
    layer = side_by_side.SmallMapConv2d(2, 3).to(dtype)
    x = whole_numbers(images, 2, 2, width, seed=0).to(dtype)
    assert torch.equal(layer(x), torch.nn.functional.conv2d(x, layer.weight, padding=1))
