"""Chapter 7, normalisation: whose mean is subtracted, what that leaks, and what batch norm does.

To standardise is to apply an affine map, fixed once its mean and deviation are. A model is fitted
behind that map, so another map in its place makes another model. Batch norm draws a new map from
every batch.

What passing does not prove: the conditioning is that of a linear model, where it sets the speed of
descent exactly; in a network it is one influence among several, and how much faster one learns is
measured. The bundled digits are the only images here; the bound on two means holds for images drawn
from one source.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

import pytest
import sympy
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from theory.ledger import settles

Points = tuple[Fraction, ...]


def _mean(points: Points) -> Fraction:
    return Fraction(sum(points), len(points))


# Whose statistics


@settles(
    "tp1-cnn-q19-both-sets",
    verdict="holds_if",
    certainty="exhausted",
    condition="With the same numbers, those of the training set: standardised by its own mean, a "
    "test set meets another model. Images need not be standardised where the map is folded into "
    "the first layer instead, which is exact where that layer pads with nothing or with the mean.",
)
def test_the_model_belongs_to_the_map_that_it_was_fitted_behind() -> None:
    """A threshold in the middle of the training points 0 and 2, behind their standardisation.

    Raw, the test point 1/2 is on the wrong side. By their own mean any two different test points
    become -1 and 1, one of each class, whatever they were.
    """

    def model(z: Fraction) -> int:
        return int(z > 0)

    train = (Fraction(0), Fraction(2))

    def by(points: Points, x: Fraction) -> Fraction:
        mean = _mean(points)
        return (x - mean) / max(abs(point - mean) for point in points)

    assert [model(by(train, x)) for x in train] == [0, 1]
    assert model(by(train, Fraction(1, 2))) == 0
    assert model(Fraction(1, 2)) == 1
    for test in combinations(map(Fraction, range(-4, 9)), 2):
        assert [model(by(test, x)) for x in test] == [0, 1]
        assert [model(by(train, x)) for x in test] == [int(x > 1) for x in test]


@settles("tp1-cnn-q19-both-sets", verdict="holds_if", certainty="exhausted")
def test_standardising_folds_into_the_next_layer() -> None:
    """W (x - m) / s + b = (W / s) x + (b - W m / s), so the folded layer takes raw inputs.

    torch agrees exactly on integers with power-of-two deviations. With zero padding it does so
    inside only: the border is padded with 0 in one case and with the mean in the other. Padded with
    the mean, or with nothing, raw images give the whole map.
    """
    w, x, m, b = sympy.symbols("w x m b")
    s = sympy.Symbol("s", nonzero=True)
    assert sympy.expand(w * (x - m) / s + b - ((w / s) * x + (b - w * m / s))) == 0

    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 1, 8, 8)).double()
    conv = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randint(-4, 5, parameter.shape))
        behind = conv((images - 120) / 64)
        weight, bias = conv.parameters()
        bias.sub_(weight.sum((1, 2, 3)) * 120 / 64)
        weight.div_(64)
        raw = conv(images)
    assert torch.equal(raw[..., 1:-1, 1:-1], behind[..., 1:-1, 1:-1])
    assert not torch.equal(raw, behind)

    conv.padding = (0, 0)
    with torch.no_grad():
        assert torch.equal(conv(functional.pad(images, [1] * 4, value=120)), behind)
        assert torch.equal(conv(images), behind[..., 1:-1, 1:-1])


# What leaks


@settles(
    "tp1-cnn-q20-train-mean",
    verdict="holds_if",
    certainty="exhausted",
    condition="The test score is to estimate the error on examples to come, the model does not "
    "absorb the mean (a linear model with a bias fits the same whatever is subtracted from both "
    "sets), and 'only' means without the test examples: images from elsewhere may be averaged too.",
)
def test_a_score_is_unbiased_only_if_the_mean_knows_nothing_of_the_test_set() -> None:
    """A threshold at the mean, and all 1024 draws of two training, two test and one other point.

    With the training mean the test error averages to the error on new points, exactly, and so it
    does if the other point is averaged too. With the mean of training and test points it does not:
    the threshold has moved towards the points it is tried on.
    """
    source = [(Fraction(x), int(x > 1)) for x in (0, 1, 2, 5)]

    def error(threshold: Fraction, points: list[tuple[Fraction, int]]) -> Fraction:
        return Fraction(sum(int(x > threshold) != y for x, y in points), len(points))

    excess = {"train": Fraction(0), "elsewhere": Fraction(0), "pooled": Fraction(0)}
    for draw in product(source, repeat=5):
        xs, test = tuple(x for x, _ in draw), list(draw[2:4])
        means = {"train": xs[:2], "elsewhere": (*xs[:2], xs[4]), "pooled": xs[:4]}
        for name, seen in means.items():
            excess[name] += error(_mean(seen), test) - error(_mean(seen), source)
    assert excess["train"] == excess["elsewhere"] == 0
    assert excess["pooled"] != 0


@settles("tp1-cnn-q20-train-mean", verdict="holds_if", certainty="exhausted")
def test_a_linear_model_with_a_bias_absorbs_any_mean() -> None:
    """(w, b) on x - m is (w, b - w m) on x: the same functions, so the same least-squares fit."""
    x0, x1, x2, m, new = sympy.symbols("x0 x1 x2 m new")
    y = sympy.Matrix(sympy.symbols("y:3"))

    def predicted(shift: sympy.Expr) -> sympy.Expr:
        X = sympy.Matrix([[1, x - shift] for x in (x0, x1, x2)])
        return sympy.Matrix([[1, new - shift]]) * (X.T * X).inv() * X.T * y

    assert (predicted(m) - predicted(sympy.Integer(0))).applyfunc(sympy.cancel)[0] == 0


@settles(
    "tp1-cnn-q20-consequence",
    verdict="holds_if",
    certainty="exhausted",
    condition="The validation set is small, or its average image holds what tells classes apart "
    "(of images of one class, say). Two means of n and m images from one source differ by "
    "sqrt(1/n + 1/m) deviations of a pixel, 0.011 for 50000 and 10000, which does not show; of a "
    "single image the average is the image, and nothing is left. Where all validation images "
    "differ from those of training by one offset, such as another brightness, their own mean takes "
    "it away and may do better than that of training.",
)
def test_two_means_of_one_source_differ_by_little() -> None:
    """Over all splits of N values into n and m the variance is S^2 (1/n + 1/m), exactly.

    S^2 is that of one value. With a mean of one image, every image is mapped to 0.
    """
    values = tuple(map(Fraction, (3, -1, 4, 1, -5, 9)))
    total, mean = sum(values), _mean(values)
    spread = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    for n in range(1, len(values)):
        m = len(values) - n
        gaps = [
            Fraction(sum(part), n) - Fraction(total - sum(part), m)
            for part in combinations(values, n)
        ]
        variance = sum(gap**2 for gap in gaps) / len(gaps)
        assert variance == spread * (Fraction(1, n) + Fraction(1, m))
    assert round((1 / 50_000 + 1 / 10_000) ** 0.5, 3) == 0.011
    assert all(value - _mean((value,)) == 0 for value in values)


@settles("tp1-cnn-q20-consequence", verdict="holds_if", certainty="sampled")
def test_on_digits_the_mean_of_the_validation_set_does_as_well() -> None:
    """Ridge regression without a bias, which cannot absorb a mean, on a random half of the digits.

    The mean of the other half changes fewer than 1 answer in 50. Its mean over one class costs more
    than 1 answer in 20, and of that class alone more than half; each image as its own mean leaves
    chance. Brighter images are answered as before behind their own mean, and worse behind that of
    training.
    """
    digits = load_digits()
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    images, labels = torch.from_numpy(digits.data)[order], torch.from_numpy(digits.target)[order]
    train, new, label = images[:897], images[897:], labels[897:]
    targets = functional.one_hot(labels[:897], 10).double()
    X = train - train.mean(0)
    weights = torch.linalg.solve(X.T @ X + 10 * torch.eye(64).double(), X.T @ targets)

    def answers(subtracted: torch.Tensor, brighter: float = 0) -> torch.Tensor:
        return ((new + brighter - subtracted) @ weights).argmax(1)

    def right(subtracted: torch.Tensor, brighter: float = 0) -> float:
        return (answers(subtracted, brighter) == label).double().mean().item()

    same = (answers(new.mean(0)) == answers(train.mean(0))).double().mean().item()
    assert right(train.mean(0)) > 0.85
    assert same > 0.98
    ones = new[label == 1].mean(0)
    assert right(ones) < right(train.mean(0)) - 0.05
    assert (answers(train.mean(0)) == 1)[label == 1].double().mean() > 0.85
    assert (answers(ones) == 1)[label == 1].double().mean() < 0.5
    assert right(new) < 0.15

    assert torch.equal(answers((new + 4).mean(0), brighter=4), answers(new.mean(0)))
    assert right(train.mean(0), brighter=4) < right((new + 4).mean(0), brighter=4) - 0.2


# Batch norm


@settles(
    "tp1-cnn-q34-bn-explanation",
    verdict="holds_if",
    certainty="sampled",
    condition="'Internal shifts' are those of a channel's mean and scale over the batch, which are "
    "removed; other changes of its distribution are not. 'The same effect' is on means and scales "
    "that hold descent back: where inputs are standardised already nothing is gained, and "
    "correlations stay as they are; nor is it the same map, for it has one mean a channel and an "
    "answer depends on the batch.",
)
def test_batch_norm_removes_a_channels_mean_and_scale_and_nothing_else() -> None:
    """Mean 0, variance v / (v + eps), and the same output for 4 x + 3; but a skew stays a skew.

    An eps of 2^-80 vanishes beside any variance here. Outputs are below 4; each rounds fewer than
    16 times, and means of 256 integers are exact.
    """
    torch.manual_seed(0)
    x = torch.randint(-8, 9, (16, 3, 4, 4)).double()

    def normed(x: torch.Tensor, eps: float = 2.0**-80) -> torch.Tensor:
        return functional.batch_norm(x, None, None, training=True, eps=eps)

    rounding = 16 * 4 * torch.finfo(torch.float64).eps
    axes, v = (0, 2, 3), x.var((0, 2, 3), correction=0)
    assert normed(x).mean(axes).abs().max() < rounding
    assert (normed(x).var(axes, correction=0) - 1).abs().max() < rounding
    assert (normed(x, 0.5).var(axes, correction=0) - v / (v + 0.5)).abs().max() < rounding
    assert (normed(4 * x + 3) - normed(x)).abs().max() < rounding
    assert (normed(x.relu()) - normed(x)).abs().max() > 0.1  # a shift of another kind
    assert (normed(x[:8]) - normed(x)[:8]).abs().max() > 0.01  # the answers to the same images


@settles("tp1-cnn-q34-bn-explanation", verdict="holds_if", certainty="sampled")
def test_standardised_inputs_make_descent_fast_only_if_scales_were_the_obstacle() -> None:
    """The curvature of a linear unit with a bias, for an input of mean m and variance 1.

    Its condition number grows with m and is 1 at m = 0, where one step of rate 1 is enough. For two
    standardised inputs of correlation c it is (1 + |c|) / (1 - |c|), which standardising leaves.
    """
    m, c = sympy.symbols("m c", positive=True)
    flat, steep = sympy.Matrix([[1, m], [m, 1 + m**2]]).eigenvals(multiple=True)
    assert sympy.simplify(flat * steep) == 1
    assert sympy.simplify(flat + steep) == m**2 + 2  # so steep / flat = steep^2 grows with m
    low, high = sympy.Matrix([[1, c], [c, 1]]).eigenvals(multiple=True)
    assert {sympy.expand(low), sympy.expand(high)} == {1 - c, 1 + c}


@settles("tp1-cnn-q34-bn-explanation", verdict="holds_if", certainty="sampled")
@pytest.mark.parametrize(
    ("inputs", "speeds_up"),
    [
        pytest.param([[1.0], [3.0]], True, id="a large mean"),
        pytest.param([[-1.0], [1.0]], False, id="already standardised"),
        pytest.param([[-1.0, -0.5], [1.0, 0.5], [-1.0, 0.5], [1.0, -0.5]], True, id="a small one"),
        pytest.param(
            [[1.0, 1.0]] * 3 + [[-1.0, -1.0]] * 3 + [[1.0, -1.0], [-1.0, 1.0]],
            False,
            id="standardised, correlated",
        ),
        pytest.param(
            [[4.0, 4.0]] * 3 + [[2.0, 2.0]] * 3 + [[4.0, 2.0], [2.0, 4.0]],
            True,
            id="correlated, with a large mean",
        ),
    ],
)
def test_torch_learns_a_linear_target_faster_behind_batch_norm(
    inputs: list[list[float]], speeds_up: bool
) -> None:
    """Steps of SGD, each at the best rate for its curvature, until the loss is a millionth.

    The best constant rate is 2 / (largest + smallest eigenvalue). Targets are a sum of inputs.
    """
    x = torch.tensor(inputs, dtype=torch.float64)
    target = x.sum(1, keepdim=True)

    def steps(x: torch.Tensor) -> int:
        extended = torch.cat([x, torch.ones(len(x), 1)], 1)
        curvatures = torch.linalg.eigvalsh(extended.T @ extended / len(x))
        unit = nn.Linear(x.shape[1], 1, dtype=torch.float64)
        nn.init.zeros_(unit.weight)
        nn.init.zeros_(unit.bias)
        rate = 2 / (curvatures[0] + curvatures[-1]).item()
        optimizer = torch.optim.SGD(unit.parameters(), lr=rate)
        first = None
        for step in range(20_000):
            optimizer.zero_grad()
            loss = (unit(x) - target).square().mean() / 2
            first = first or loss.item()
            if loss.item() <= 1e-6 * first:
                return step
            loss.backward()
            optimizer.step()
        return 20_000

    behind = steps(functional.batch_norm(x, None, None, training=True, eps=2.0**-80))
    assert 0 < behind < 20
    assert (steps(x) > 5 * behind) is speeds_up
    assert (steps(x) == behind) is not speeds_up
