"""The catalog of layers has every activation of this torch, and no layer in place of another."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.modules import activation

from theory import operator_catalog
from theory.operator_catalog import OnTrial, catalog, elementwise_activations, judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from torch import Tensor


class _NeedsAnArgument(nn.Module):
    def __init__(self, slope: float) -> None:
        super().__init__()


class _LooksAtNeighbours(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.roll(1, -1)


def _offer(monkeypatch: pytest.MonkeyPatch, layer: type[nn.Module]) -> None:
    """Let torch have one activation more."""
    monkeypatch.setattr(activation, layer.__name__, layer, raising=False)
    monkeypatch.setattr(activation, "__all__", [*activation.__all__, layer.__name__])


def test_a_new_activation_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, _NeedsAnArgument)
    with pytest.raises(LookupError, match=r"torch\.nn\._NeedsAnArgument is new"):
        elementwise_activations()


def test_a_new_activation_that_cannot_be_made_hinders_no_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _offer(monkeypatch, _NeedsAnArgument)
    fresh = runpy.run_path(operator_catalog.__file__)
    with pytest.raises(LookupError, match=r"torch\.nn\._NeedsAnArgument is new"):
        fresh["catalog"]()


def test_a_verdict_neither_uses_nor_moves_the_generator() -> None:
    """The weights, and with them the kernel, come from a seed of their own."""
    layer = catalog()["convolution"]["padded: circular"]
    kernels = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        kernels.append(judge(layer).circle.kernel)
        assert torch.equal(torch.get_rng_state(), before)
    first, second = kernels
    assert first is not None
    assert first.tolist() == second.tolist()


def test_a_new_activation_that_is_not_elementwise_is_noticed(
    monkeypatch: pytest.MonkeyPatch, load_chapter: Callable[[str], ModuleType]
) -> None:
    _offer(monkeypatch, _LooksAtNeighbours)
    assert "_LooksAtNeighbours" in elementwise_activations()
    with pytest.raises(AssertionError, match="_LooksAtNeighbours"):
        load_chapter("test_operators_catalog").test_every_activation_of_this_torch_is_on_trial()


@pytest.mark.parametrize(
    ("kind", "name", "instead", "trial"),
    [
        ("padding", "zeros", nn.Identity, "test_padding_makes_a_border_as_wide_as_itself"),
        ("pooling", "max, 2 cells", nn.Identity, "test_averages_are_linear_and_maxima_are_not"),
        (
            "normalisation",
            "layer norm",
            nn.Identity,
            "test_only_frozen_statistics_make_a_normalisation_affine",
        ),
        (
            "dropout",
            "Dropout, training",
            nn.Identity,
            "test_dropout_is_random_in_training_and_the_identity_afterwards",
        ),
        (
            "across cells or channels",
            "attention without positions",
            nn.Identity,
            "test_looking_at_all_cells_leaves_no_interior",
        ),
    ],
)
def test_another_layer_in_place_of_one_is_noticed(
    kind: str,
    name: str,
    instead: type[nn.Module],
    trial: str,
    monkeypatch: pytest.MonkeyPatch,
    load_chapter: Callable[[str], ModuleType],
) -> None:
    monkeypatch.setitem(catalog()[kind], name, OnTrial(instead))
    with pytest.raises(AssertionError):
        getattr(load_chapter("test_operators_catalog"), trial)()
