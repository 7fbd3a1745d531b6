"""The stem of the race's network whitens the patches it was made from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from experiments import speed
from experiments.speed import network
from tests.tiny_race import TINY, TRAIN_SET, UNIT, pictures


@pytest.mark.parametrize("floor", [0.0, 100.0])
def test_the_stem_whitens_the_patches_it_was_made_from(floor):
    """Second moments of the outputs: λ / (λ + floor) on the diagonal, 0 off it.

    Two parts round. The eigenvectors of the computed covariance C are those of one that differs
    from C by at most ``k u ‖C‖`` in norm (k rows, a modest factor included; Anderson and others,
    *LAPACK Users' Guide*, section 4.7), and C itself, a sum over m patches, by ``m u ‖C‖``. After
    division by the deviations this error counts ``‖C‖ / (least λ + floor)`` times as much.
    """
    images = pictures(64).double()
    images -= images.mean((0, 2, 3), keepdim=True)
    rows = network.patches(images)
    filters = network.whitening_filters(images, 12, floor).flatten(1)
    outputs = rows @ filters.T
    moments = outputs.T @ outputs / len(outputs)

    covariance = rows.T @ rows / len(rows)
    variances = torch.linalg.eigvalsh(covariance).flip(0)[:12]
    expected = torch.diag(variances / (variances + floor))
    condition = covariance.norm() / (variances[-1] + floor)
    bound = 2 * (len(rows) + rows.shape[1]) * UNIT * condition
    assert bound < 1e-8  # or the next line would say little
    assert (moments - expected).abs().max() <= bound


def test_the_stem_of_the_network_is_those_filters_with_both_signs_and_is_not_trained():
    images = pictures(8).float() - 128
    stem = network.whitening_filters(images, 3)
    made = network.RaceNet(stem, 3, (4,), (True,), classes=2)
    assert torch.equal(made.stem.weight, torch.cat([stem, -stem]))
    assert not made.stem.weight.requires_grad
    result, _ = speed.train(TINY, TRAIN_SET, 2, "a")
    again, _ = speed.train(replace(TINY, epochs=0.25), TRAIN_SET, 2, "a")
    assert torch.equal(result.stem.weight, again.stem.weight)
    assert not torch.equal(result.head.weight, again.head.weight)


def test_without_whitening_the_stem_is_trained():
    plain = replace(TINY, whitened=False)
    once, _ = speed.train(replace(plain, epochs=0.25), TRAIN_SET, 2, "a")
    made, _ = speed.train(plain, TRAIN_SET, 2, "a")
    assert not torch.equal(made.stem.weight, once.stem.weight)


def test_components_that_do_not_exist_are_refused():
    images = pictures(8).float() - 128
    with pytest.raises(ValueError, match=r"49 components were asked for, but .* has 1 to 48"):
        network.whitening_filters(images, 49)
    with pytest.raises(ValueError, match="is constant and cannot be brought to variance 1"):
        network.whitening_filters(torch.zeros(8, 3, 16, 16), 1, floor=0.0)
