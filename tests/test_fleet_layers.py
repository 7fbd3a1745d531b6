"""Fleets of networks: every fused layer equals the loop over its members, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from experiments import networks
from experiments.fleet import Fleet, layers

MEMBERS, IMAGES = 3, 4
SHAPE = (2, 16, 16)

LINES = {
    "conv": "conv3k3 fc10",
    "conv, valid": "conv3k4valid fc10",
    "conv, even kernel": "conv3k4 fc10",
    "max": "conv3k3 max3 fc10",
    "avg": "avg2 conv3k3 avg2 fc10",
    "gap": "conv10k3 gap",
    "relu": "conv3k3 relu fc10",
    "elu": "elu conv3k3 elu fc10",
    "bn": "conv3k3 bn fc7 bn fc10",
    "bn first": "bn conv3k3 fc10",
    "fc": "fc7 relu fc10",
    "drop": "conv3k3 drop0.5 fc7 drop0.25 fc10",
    "drop first": "drop0.5 fc10",
    "skip": "conv3k3 skip(relu conv3k3 skip(conv4k3)) fc10",
    "skip first": "skip(conv2k3) fc10",
    "halves": "halves(conv3k3 relu max2 fc7) elu fc10",
    "halves of a vector": "halves(fc5) fc10",
}
NAMED = ["two-conv", "linear-two-conv", "conv-fc", "conv-gap", "resnet-18", "resnet-18-7x7"]


def _networks(name):
    torch.manual_seed(0)
    filters = 2 if name in NAMED else None
    return [
        networks.build(name, SHAPE, filters, 10).double().to(memory_format=torch.channels_last)
        for _ in range(MEMBERS)
    ]


def _streams():
    return [torch.Generator().manual_seed(member) for member in range(MEMBERS)]


def _inputs(common):
    channels = SHAPE[0] * (1 if common else MEMBERS)
    images = torch.randn(IMAGES, channels, *SHAPE[1:], dtype=torch.float64)
    return images.to(memory_format=torch.channels_last)


def _one_by_one(members, x, common):
    """Return the scores of each network under its own random stream, as a solo run has it."""
    scores = []
    for index, member in enumerate(members):
        torch.manual_seed(index)
        scores.append(member(x if common else x.chunk(MEMBERS, 1)[index]))
    return torch.stack(scores, 1)


def _bound(members):
    """Return how far rounding may move a score or a gradient, whose summands are of order one.

    Each sums at most as many products as the largest layer has weights, or as there are pixels and
    images to sum a gradient over, through as many layers as there are; both sides may err.
    """
    sizes = [p.numel() for p in members[0].parameters()]
    products = max(*sizes, IMAGES * SHAPE[1] * SHAPE[2])
    return 2 * len(sizes) * products * torch.finfo(torch.float64).eps / 2


@pytest.mark.parametrize("common", [False, True], ids=["own inputs", "common input"])
@pytest.mark.parametrize("name", [*LINES.values(), *NAMED], ids=[*LINES, *NAMED])
def test_a_fleet_equals_the_loop_over_its_members(name, common):
    members = _networks(name)
    fleet = Fleet(members, _streams())
    x = _inputs(common)
    torch.manual_seed(0)
    weights = torch.randn(IMAGES, MEMBERS, 10, dtype=torch.float64)

    scores, expected = fleet(x, common=common), _one_by_one(members, x, common)
    bound = _bound(members)
    assert scores.shape == expected.shape
    assert (scores - expected).abs().max() < bound

    found = torch.autograd.grad((weights * scores).sum(), list(fleet.parameters()))
    for index, member in enumerate(members):
        torch.manual_seed(index)
        own = member(x if common else x.chunk(MEMBERS, 1)[index])
        loss = (weights[:, index] * own).sum()
        for gradient, right in zip(
            found, torch.autograd.grad(loss, list(member.parameters())), strict=True
        ):
            assert (gradient[index] - right).abs().max() < bound


@pytest.mark.parametrize("name", ["conv3k3 bn fc7 bn fc10", "resnet-18"])
def test_statistics_are_each_members_own_and_come_back(name):
    members = _networks(name)
    fleet = Fleet(members, _streams())
    x = _inputs(common=False)
    fleet(x, common=False)
    found = [
        {k: v.clone() for k, v in fleet.member(i).state_dict().items()} for i in range(MEMBERS)
    ]
    for index, own in enumerate(_networks(name)):
        own(x.chunk(MEMBERS, 1)[index])
        for key, value in own.state_dict().items():
            difference = (found[index][key] - value).abs().max()
            assert difference <= _bound(members), key
    scores = fleet.eval()(x, common=False)
    for index in range(MEMBERS):
        alone = fleet.member(index).eval()(x.chunk(MEMBERS, 1)[index])
        assert (scores[:, index] - alone).abs().max() < _bound(members)


@pytest.mark.parametrize("shape", [(IMAGES, 5, 4, 4), (IMAGES, 1, 5)], ids=["maps", "vectors"])
def test_dropout_drops_what_a_solo_run_drops_bit_for_bit(shape):
    """In float32 and channels last, where the order in which masks are drawn shows."""
    x = torch.ones(shape)
    if len(shape) == 4:
        x = x.to(memory_format=torch.channels_last)
    drop = layers.Dropout(0.3, _streams())
    for index, own in enumerate(drop(torch.cat([x] * MEMBERS, 1)).chunk(MEMBERS, 1)):
        torch.manual_seed(index)
        assert torch.equal(own, F.dropout(x, 0.3))
    assert torch.equal(drop.eval()(x), x)


def test_no_number_of_one_member_reaches_another():
    """Not even one that is no number."""
    members = _networks("resnet-18")
    fleet = Fleet(members, _streams())
    x = _inputs(common=False)
    x[:, SHAPE[0] : 2 * SHAPE[0]] = float("nan")
    scores = fleet(x, common=False)
    assert scores[:, 1].isnan().all()
    assert scores[:, [0, 2]].isfinite().all()
    gradients = torch.autograd.grad(scores.sum(), list(fleet.parameters()))
    assert all(gradient[[0, 2]].isfinite().all() for gradient in gradients)
    assert any(gradient[1].isnan().any() for gradient in gradients)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "at least one network"),
        ([nn.Linear(2, 3), nn.Linear(2, 4)], "networks of one architecture"),
        ([nn.Sequential(nn.LSTM(2, 3))], "cannot hold LSTM.*; train .* one by one, on the CPU"),
        ([nn.Conv2d(2, 4, 3, groups=2)], r"Conv2d\(2, 4, .* has groups"),
        ([nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")], "no zero padding"),
        ([nn.Linear(2, 3, bias=False)], "Linear.* it has no bias"),
        ([nn.BatchNorm2d(3, affine=False)], "BatchNorm2d.* it has no weight"),
        ([nn.BatchNorm2d(3, momentum=None)], "BatchNorm2d.* it has no momentum"),
        ([nn.BatchNorm2d(3, track_running_stats=False)], "BatchNorm2d.* it has no running_mean"),
    ],
)
def test_what_a_fleet_cannot_hold_is_named(members, message):
    with pytest.raises(ValueError, match=message):
        Fleet(members, [torch.Generator()] * len(members))
