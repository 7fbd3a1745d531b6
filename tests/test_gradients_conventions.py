"""What a gradient is of: its operation, its sign, and the arrays and tensors that it takes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theory.convolution import convolve, correlate
from theory.gradients import bias_gradient, filter_gradient, filter_gradient_bound, input_gradient
from theory.methods import gradient_plan
from theory.signals import integer_signal
from theory.structured_matrices import derivative_matrix


def test_a_layer_cross_correlates_unless_told_otherwise():
    """Red if a default becomes the other operation, or a method that floating point cannot hold."""
    x, w, g = np.array([[1, 2, 4]]), np.array([[[1, 10]]]), np.array([[1, 100]])
    assert filter_gradient(x, g).tolist() == [[[201, 402]]]
    assert filter_gradient(x, g).dtype == np.int64
    assert input_gradient(w, g).tolist() == [[1, 110, 1000]]
    assert derivative_matrix(x[0], 2).tolist() == [[1, 2], [2, 4]]


def test_lists_are_arrays_and_a_bias_gradient_of_a_tensor_is_one():
    x, g = [[1, 2, 4]], [[1, 100]]
    assert filter_gradient(x, g).tolist() == [[[201, 402]]]
    assert filter_gradient_bound(x, g).tolist() == [[0]]
    assert input_gradient([[[1, 10]]], g).tolist() == [[1, 110, 1000]]
    assert derivative_matrix(x[0], 2).tolist() == [[1, 2], [2, 4]]
    assert bias_gradient(g).tolist() == [101]
    of_tensor = bias_gradient(torch.tensor(g, dtype=torch.float64))
    assert isinstance(of_tensor, torch.Tensor)
    assert of_tensor.tolist() == [101]


def test_what_shapes_and_types_decide_is_decided_once(monkeypatch):
    x, g = integer_signal((1, 97), seed=0), integer_signal((1, 61), seed=1)
    filter_gradient(x, g, method="auto")
    monkeypatch.setattr(gradient_plan, "require_real", lambda *_: pytest.fail("decided again"))
    filter_gradient(x, g, method="auto")
    with pytest.raises(pytest.fail.Exception):
        filter_gradient(x[:, :96], g, method="auto")


def test_a_flip_reaches_tensors_too():
    x, g = torch.tensor([[1.0, 2, 4]]), torch.tensor([[1.0, 10]])
    gradient = filter_gradient(x, g, operation="convolution")
    assert gradient.tolist() == [[[42, 21]]]


@pytest.mark.parametrize("filters", [1, 2])
def test_a_flipped_gradient_becomes_a_tensor(filters):
    """Red if it has negative strides, of which torch makes none."""
    x, g = np.array([[1.0, 2.0, 4.0]]), np.array([[1.0, 10.0]] * filters)
    gradient = torch.from_numpy(filter_gradient(x, g, operation="convolution"))
    assert gradient.tolist() == [[[42, 21]]] * filters


def test_the_loss_falls_along_the_filter_gradient():
    """Half the squared output falls by the squared norm of the gradient, to first order."""
    x, w = np.array([1.0, 2, -1]), np.array([3.0, 1])
    y = correlate(x, w, mode="valid")
    gradient = filter_gradient(x[None], y[None])[0, 0]
    step = 2.0**-20
    moved = correlate(x, w - step * gradient, mode="valid")
    fall = ((y**2).sum() - (moved**2).sum()) / 2
    second_order = (correlate(x, gradient, mode="valid") ** 2).sum() / 2
    assert fall == step * (gradient**2).sum() - step**2 * second_order


def test_a_convolution_that_is_composed_twice_has_full_gradients():
    kernel, g = np.array([1, 2]), np.array([1, 0, 3])
    assert np.array_equal(input_gradient(kernel[None, None], g[None])[0], convolve(g, kernel))
