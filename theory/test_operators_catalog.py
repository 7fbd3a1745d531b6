"""Chapter 2: one of every kind of layer that torch offers, put on trial with one instrument.

The verdicts are not written down but computed, each by two diagnoses: on the circle, where shifts
wrap, for linearity and period; in the interior, where they do not, for the border. What is asserted
are the laws that all layers of a kind share.

What passing does not prove: each layer is tried with one set of options and at one small shape, and
what is not affine is followed under shifts only on the inputs that were tried, unless every cell is
shown to be the same function.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch.nn.modules import activation

from theory.operator_catalog import (
    NOT_ELEMENTWISE,
    Diagnoses,
    catalog,
    elementwise_activations,
    judge,
)


@cache
def verdict(kind: str, name: str) -> Diagnoses:
    """Return the verdict on one layer, computed once."""
    return judge(catalog()[kind][name])


def of(kind: str) -> dict[str, Diagnoses]:
    """Return the verdicts on all layers of a kind."""
    return {name: verdict(kind, name) for name in catalog()[kind]}


def test_every_activation_of_this_torch_is_on_trial() -> None:
    """Whatever torch calls an activation is element-wise and in the table, or known not to be."""
    assert set(elementwise_activations()) == set(activation.__all__) - NOT_ELEMENTWISE
    assert set(activation.__all__) >= NOT_ELEMENTWISE
    for name, layer in elementwise_activations().items():
        x = torch.linspace(-4, 4, 16).view(1, *layer.shape)
        order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
        made = layer.make()
        assert torch.equal(made(x[..., order]), made(x)[..., order]), name


@pytest.mark.parametrize("name", catalog()["activation"])
def test_an_elementwise_activation_is_equivariant_and_not_affine(name: str) -> None:
    """phi(x[i - k]) is phi(x)[i - k]: no cell is special, and none is in a border."""
    found = verdict("activation", name)
    assert found.circle.affine.holds is False
    assert found.circle.shift_equivariant.holds
    assert found.interior.shift_equivariant.holds
    assert found.interior.border == (0,)


def test_averages_are_linear_and_maxima_are_not() -> None:
    """The period of a pooling layer is its stride; padding breaks it on the circle."""
    found = of("pooling")
    for name, each in found.items():
        if name == "max, fractional":
            assert each.circle.deterministic.holds is False
            continue
        assert each.circle.linear.holds is name.startswith("average")
        assert each.circle.affine.holds is name.startswith("average")
    for name in ("average, 2 cells", "max, 2 cells", "power average, 2 cells"):
        assert (found[name].circle.period, found[name].interior.border) == ((2,), (0,))
    for name in ("average, 3 cells, stride 1, padded", "max, 3 cells, stride 1, padded"):
        assert (found[name].circle.period, found[name].interior.border) == ((None,), (1,))
        assert found[name].interior.period == (1,)
    for name in ("average, global", "max, global"):
        assert found[name].circle.shift_invariance is not None


def test_padding_makes_a_border_as_wide_as_itself() -> None:
    """All padding is linear but that with a constant other than zero, which is affine."""
    for name, found in of("padding").items():
        assert found.circle.affine.holds
        assert found.circle.affine.certainty == "proved"
        assert found.circle.linear.holds is (name != "a constant")
        assert (found.interior.period, found.interior.border) == ((1,), (1,))


def test_a_convolution_is_lti_on_the_circle_if_it_is_padded_circularly() -> None:
    """In the interior the padding does not matter: LTI with a border as wide as the padding."""
    for name, found in of("convolution").items():
        if name.startswith("padded"):
            assert found.circle.lti.holds is (name == "padded: circular")
            assert found.interior.lti.holds
            assert found.interior.border == (1,)
    assert of("convolution")["stride 2, padded: circular"].circle.period == (2,)
    assert of("convolution")["transposed, stride 2"].circle.period == (1,)


def test_resampling_is_linear() -> None:
    """Up by two turns a shift by one into one by two: equivariant, at two rates and so not LTI."""
    for name, found in of("up- and down-sampling").items():
        assert found.circle.linear.holds
        assert found.circle.linear.certainty == "proved"
        assert found.circle.lti.holds is (name == "channel shuffle")


def test_only_frozen_statistics_make_a_normalisation_affine() -> None:
    """Statistics of the input itself make it nonlinear, and of all cells leave no interior.

    Frozen ones subtract a mean, which is affine and not linear.
    """
    for name, found in of("normalisation").items():
        assert found.circle.affine.holds is name.endswith("evaluating")
        assert found.circle.linear.holds is False
        assert found.circle.period == (1,)
        local = name.endswith("evaluating") or name == "local response norm"
        assert found.interior.border == ((0,) if local else (None,))


def test_dropout_is_random_in_training_and_the_identity_afterwards() -> None:
    for name, found in of("dropout").items():
        if name.endswith("training"):
            assert found.circle.deterministic.holds is False
            assert found.circle.linear.holds is None
        else:
            assert (found.circle.lti.holds, found.circle.lti.certainty) == (True, "proved")


def test_looking_at_all_cells_leaves_no_interior() -> None:
    """Over cells each output sees the whole line; over channels, its own place alone."""
    for name, found in of("across cells or channels").items():
        assert found.circle.affine.holds is False
        assert found.circle.period == (1,)
        assert found.interior.border == ((0,) if "channels" in name else (None,))


def test_blocks_are_what_their_parts_are() -> None:
    found = of("arrangement and blocks")
    assert found["identity"].circle.lti.certainty == "proved"
    assert found["flatten"].circle.linear.certainty == "proved"
    assert found["residual of a convolution"].circle.lti.holds
    assert found["residual of a convolution and ReLU"].circle.affine.holds is False
    assert found["residual of a convolution and ReLU"].interior.border == (1,)
    assert found["squeeze-excite"].circle.period == (1,)
    assert found["squeeze-excite"].interior.border == (None,)
