"""A layer on a GPU is what it is on the CPU, whichever instrument asks."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from theory import audit, diagnose
from theory.gram_iteration import gram_bound
from theory.layer_matrix import layer_matrix
from theory.spectrum import norm_bounds, singular_values

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")

NETWORKS = {
    "convolution": (nn.Conv2d(2, 3, 3, padding=1), (2, 6, 6)),
    "circular": (nn.Conv1d(1, 2, 3, padding=1, padding_mode="circular", bias=False), (1, 8)),
    "batch normalisation": (
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)).eval(),
        (2, 8, 8),
    ),
    "normalisation by the input": (nn.Sequential(nn.RMSNorm(8), nn.Linear(8, 4)), (8,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_audit_is_the_same(name):
    network, shape = NETWORKS[name]
    assert str(audit(copy.deepcopy(network).to("cuda"), shape)) == str(audit(network, shape))


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_diagnosis_holds_as_surely(name, boundary):
    network, shape = NETWORKS[name]
    here, there = (
        diagnose(each, shape, boundary=boundary)
        for each in (network, copy.deepcopy(network).to("cuda"))
    )
    for finding in ("deterministic", "linear", "affine", "shift_equivariant", "lti"):
        expected, found = (getattr(each, finding) for each in (here, there))
        assert (found.holds, found.certainty) == (expected.holds, expected.certainty)
    assert (there.period, there.border) == (here.period, here.border)


@pytest.mark.parametrize("instrument", [layer_matrix, singular_values, norm_bounds, gram_bound])
def test_a_spectrum_is_the_same(instrument):
    layer, (_, n) = NETWORKS["circular"]
    there = copy.deepcopy(layer).to("cuda")
    assert np.array_equal(instrument(there, n), instrument(layer, n))
