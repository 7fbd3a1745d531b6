"""Facts about a training run that need no run: counts, noise, and what descent does on average.

Where the arguments are rational numbers (`fractions.Fraction` or SymPy's), so are the results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import sympy
from jaxtyping import Int
from sympy.matrices.exceptions import NonInvertibleMatrixError

from theory.arguments import require_rate
from theory.counts import as_count


def totals_behind(printed: Sequence[float], limit: int) -> Int[np.ndarray, " fits"]:
    """Find every number of examples that explains some accuracies printed in single precision.

    An accuracy is a count times the rounded reciprocal of the number of examples, rounded once
    more: dividing the count directly rounds otherwise and misses some printed values.

    Parameters
    ----------
    printed : sequence of float
        The accuracies, between 0 and 1, as printed: the shortest digits of single or double
        precision.
    limit : int
        The largest number of examples to try; all up to it are tried.

    Returns
    -------
    ndarray of int
        The numbers of examples of which every printed accuracy is a count's share, in order.

    Raises
    ------
    TypeError
        If the limit is not an integer.
    ValueError
        If it is below 1, or what is printed is no accuracy.
    """
    limit = as_count("limit", limit)
    totals = np.arange(1, limit + 1)
    fits = np.full(limit, True)
    for accuracy in printed:
        _require_accuracy(accuracy)
        counts = np.rint(accuracy * totals).astype(np.float32)
        fits &= counts * (np.float32(1) / totals.astype(np.float32)) == np.float32(accuracy)
    return totals[fits]


def steps_per_epoch(examples: int, batch: int, *, drop_last: bool) -> int:
    """Count the updates in a pass over the training set.

    Parameters
    ----------
    examples, batch : int
        Size of the training set and of a batch.
    drop_last : bool
        Whether examples that do not fill a batch are left out of the pass.

    Raises
    ------
    TypeError, ValueError
        If one of them is not an integer, or below 1.
    """
    examples, batch = as_count("examples", examples), as_count("batch", batch)
    return examples // batch if drop_last else -(-examples // batch)


def accuracy_deviation(accuracy: float, examples: int) -> float:
    """Return the standard deviation of an accuracy that is measured on independent examples.

    Parameters
    ----------
    accuracy : float
        The probability of being right on an example, between 0 and 1.
    examples : int
        How many examples are drawn.

    Raises
    ------
    TypeError
        If the number of examples is not an integer.
    ValueError
        If the probability is none, or there is no example.
    """
    _require_accuracy(accuracy)
    examples = as_count("examples", examples)
    return math.sqrt(accuracy * (1 - accuracy) / examples)


def _require_accuracy(accuracy: float) -> None:
    if not 0 <= accuracy <= 1:
        raise ValueError(f"an accuracy of {accuracy}: give one from 0 to 1")


def expected_squares(
    rates: Sequence[Fraction], noise: Fraction, start: Fraction, curvature: Fraction
) -> list[Fraction]:
    """Follow noisy gradient descent on a parabola: the mean squared distance from its minimum.

    A step takes w to ``w - rate * (curvature * w + e)``, where e has mean 0 and is independent of
    all that came before.

    Parameters
    ----------
    rates : sequence of Fraction
        The learning rate of each step.
    noise : Fraction
        Variance of the noise e.
    start : Fraction
        The first w, as a distance from the minimum.
    curvature : Fraction
        Second derivative of the loss.

    Returns
    -------
    list of Fraction
        The mean of w squared before the first step and after each.

    Raises
    ------
    ValueError
        If the variance is negative, or NaN.
    """
    if not noise >= 0:
        raise ValueError(f"noise is {noise}: give a variance, 0 or more")
    squares = [start**2]
    for rate in rates:
        squares.append((1 - rate * curvature) ** 2 * squares[-1] + rate**2 * noise)
    return squares


def dropout_penalty(rate: Fraction) -> Fraction:
    """Return how strongly dropout penalises a linear unit: rate / (1 - rate).

    That is the relative variance which dropping, and dividing what is kept by ``1 - rate``, gives
    each input (Srivastava et al. 2014, section 9.1, there for kept inputs that are not rescaled).

    Raises
    ------
    ValueError
        If the rate is negative, or not below 1.
    """
    require_rate(rate)
    return rate / (1 - rate)


def least_squares_map(X: sympy.Matrix, penalty: sympy.Expr | int = 0) -> sympy.Matrix:
    """Return the matrix that takes the targets to the weights of a linear least-squares fit.

    Parameters
    ----------
    X : sympy.Matrix
        One row for each example, one column for each weight; of full rank.
    penalty : sympy.Expr or int, optional
        Added to the squared error, times the squared norm of the weights. At 0 and with more
        weights than examples the fit is the one of smallest norm, where gradient descent from 0
        ends.

    Returns
    -------
    sympy.Matrix
        Of shape (weights, examples).

    Raises
    ------
    ValueError
        If X has infinite entries or NaN, or is not of full rank and the penalty 0; or if that is
        negative.
    """
    X, penalty = sympy.Matrix(X), sympy.sympify(penalty)
    if X.has(sympy.nan, sympy.oo, -sympy.oo, sympy.zoo):
        raise ValueError("X has entries that are not finite: no weights fit them")
    if penalty.is_negative:
        raise ValueError(f"penalty is {penalty}: give 0 or more, else no weights are best")
    try:
        if penalty == 0 and X.cols > X.rows:
            return X.T * (X * X.T).inv()
        return (X.T * X + penalty * sympy.eye(X.cols)).inv() * X.T
    except NonInvertibleMatrixError:
        raise ValueError(
            f"X of {X.rows} rows and {X.cols} columns is not of full rank: leave out rows or "
            "columns that the others give, or add a penalty"
        ) from None
