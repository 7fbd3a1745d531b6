"""Gradients of what does not fit are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theory.gradients import (
    bias_gradient,
    filter_gradient,
    filter_gradient_bound,
    input_gradient,
)
from theory.structured_matrices import derivative_matrix

X = np.ones((1, 3))
T = torch.ones((1, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: filter_gradient(X, np.ones((1, 4))), ValueError, "with m <= n along every axis"),
        (lambda: filter_gradient(X, np.ones((1, 2, 2))), ValueError, r"expected \(channels, \*n\)"),
        (lambda: filter_gradient(X[0], X[0]), ValueError, r"expected \(channels, \*n\)"),
        (lambda: filter_gradient(X, X, method="fast"), ValueError, "unknown method 'fast'; known"),
        (lambda: filter_gradient(X, X, operation="conv"), ValueError, "unknown operation 'conv'"),
        (lambda: filter_gradient(X, X, method=["fft"]), ValueError, r"method \['fft'\]; known: di"),
        (lambda: filter_gradient(X, X, operation={}), ValueError, "unknown operation {}; known: c"),
        (lambda: filter_gradient_bound(X, X, method=[]), ValueError, r"unknown method \[\]; known"),
        (lambda: filter_gradient(X, X, batched=[True]), TypeError, r"batched is \[True\]: expect"),
        (
            lambda: filter_gradient(X[None], X[None], batched=5),
            TypeError,
            "batched is 5: expected T",
        ),
        (
            lambda: input_gradient(X[None], X[None], batched=5),
            TypeError,
            "batched is 5: expected T",
        ),
        (lambda: bias_gradient(X[None], batched=5), TypeError, "batched is 5: expected True or Fa"),
        (lambda: bias_gradient(X, batched=None), TypeError, "batched is None: expected True or Fa"),
        (lambda: input_gradient(X[None], X, operation=[]), ValueError, r"unknown operation \[\]"),
        (lambda: filter_gradient(X * 1j, X), TypeError, "the input holds complex128 entries"),
        (lambda: filter_gradient(X, X * 1j), TypeError, "the output gradient holds complex128"),
        (lambda: filter_gradient(X[:0], X), ValueError, "the input has shape"),
        (lambda: filter_gradient(X, X[:0]), ValueError, "the output gradient has shape"),
        (lambda: filter_gradient(X.astype(object), X, method="fft"), TypeError, "not exact"),
        (
            lambda: filter_gradient(X.astype(object), X, method="blocked-fft"),
            TypeError,
            "not exact",
        ),
        (
            lambda: filter_gradient(T, X),
            TypeError,
            "the input is a Tensor and the output gradient a",
        ),
        (lambda: filter_gradient(T, T, method="matrix"), TypeError, "another method for tensors"),
        (lambda: filter_gradient(T.int(), T), TypeError, "the input holds torch.int32 entries"),
        (lambda: filter_gradient(T, T.half()), TypeError, "output gradient holds torch.float16"),
        (
            lambda: filter_gradient(T.to("meta"), T),
            TypeError,
            "the input has no values, on the meta",
        ),
        (
            lambda: filter_gradient(T, T.to("meta"), method="fft"),
            TypeError,
            "the output gradient has no values",
        ),
        (lambda: filter_gradient_bound(T.to("meta"), T), TypeError, "the input has no values"),
        (
            lambda: filter_gradient(T, T.to_sparse(), method="auto"),
            TypeError,
            r"the output gradient is a sparse tensor: make it dense, with its to_dense\(\)",
        ),
        (lambda: bias_gradient(T.to("meta")), TypeError, "the output gradient has no values"),
        (lambda: filter_gradient(T[:0], T), ValueError, r"the input has shape \(0, 3\)"),
        (
            lambda: filter_gradient(X[None], X[[0, 0]][:, None], batched=True),
            ValueError,
            r"input of shape \(1, 1, 3\), .* \(2, 1, 3\): expected \(batch, channels, \*n\)",
        ),
        (lambda: filter_gradient(X, X.astype(object), method="fft"), TypeError, "not exact"),
        (lambda: input_gradient(X[None], X[[0, 0]]), ValueError, r"expected \(filters, channels"),
        (lambda: input_gradient(X, X), ValueError, r"expected \(filters, channels"),
        (lambda: input_gradient(X, X[:, 0]), ValueError, r"expected \(filters, channels"),
        (lambda: input_gradient(X[None, None], X), ValueError, r"expected \(filters, channels"),
        (
            lambda: input_gradient(X[None], X * 1j),
            TypeError,
            "the output gradient holds complex128",
        ),
        (lambda: input_gradient(X[None] * 1j, X), TypeError, "the weight holds complex128"),
        (lambda: input_gradient(X[None], X, operation="full"), ValueError, "unknown operation"),
        (lambda: input_gradient(T[None], T), TypeError, r"from arrays: give weight\.numpy"),
        (lambda: bias_gradient(X * 1j), TypeError, "the output gradient holds complex128"),
        (lambda: bias_gradient(T.half()), TypeError, "the output gradient holds torch.float16"),
        (lambda: bias_gradient(X[:0]), ValueError, "the output gradient has shape"),
        (lambda: bias_gradient(X[0]), ValueError, r"expected \(filters, \*m\)"),
        (lambda: derivative_matrix(X[0], 4), ValueError, "no more than there are cells"),
        (lambda: derivative_matrix(X[0], 0), ValueError, "at least one tap"),
        (lambda: derivative_matrix(X[0], 2.7), TypeError, "2.7 given per axis: expected an int"),
        (lambda: derivative_matrix(X[0], (1, 1)), ValueError, "for each axis"),
        (lambda: derivative_matrix(X[0], 1, operation="x"), ValueError, "unknown operation 'x'"),
    ],
)
def test_bad_input_is_refused_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
