"""Chapter 7, augmentation: what transformed copies add, and when they take something away.

Fitting an image and its mirror image to one label is fitting a function that cannot tell the two
apart. If the true labels cannot tell them apart either, the fit has fewer degrees of freedom and
loses nothing; if they can, it has lost just that.

What passing does not prove: the fit is linear and the groups are flips and circular shifts. How
much a network gains on photographs is measured. The glyphs are those of one typeface.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING

import numpy as np
import pytest
import sympy
import torch
import z3
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from torch.nn import functional

from theory.ledger import settles
from theory.solver import holds_always
from theory.training_facts import least_squares_map

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor

FLIP = ((0, 1, 2, 3), (3, 2, 1, 0))
SHIFTS = ((0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2))
Group = tuple[tuple[int, ...], ...]
# Six signals of four cells: enough to fit four weights, and not symmetric themselves.
X = sympy.Matrix(6, 4, [1, 2, 0, 1, 0, 1, 3, 1, 2, 0, 1, 1, 1, 1, 0, 2, 0, 1, 1, 4, 3, 0, 2, 1])


def _variants(image: Tensor, padding: int) -> set[tuple[float, ...]]:
    """Return all crops of a padded image to its former size, and their mirror images."""
    side = image.shape[-1]
    padded = functional.pad(image, [padding] * 4)
    crops = [
        padded[top : top + side, left : left + side]
        for top, left in product(range(2 * padding + 1), repeat=2)
    ]
    return {tuple(view.flatten().tolist()) for crop in crops for view in (crop, crop.flip(-1))}


def _augmented_map(group: Group) -> sympy.Matrix:
    """Return the map from the targets to the weights that fit all transformed copies best."""
    copies = sympy.Matrix.vstack(*[X[:, list(order)] for order in group])
    targets = sympy.Matrix.vstack(*[sympy.eye(X.rows)] * len(group))
    return least_squares_map(copies) * targets


@settles(
    "tp1-cnn-q22-explanation",
    "assignment-3-3c-augmentation-explanation",
    verdict="holds_if",
    certainty="exhausted",
)
def test_crops_and_flips_make_up_to_two_times_the_square_of_the_positions() -> None:
    """Padding by p gives (2p + 1)^2 crops and twice as many images: 162 for 4 pixels.

    Fewer where images coincide: a flat image that is padded has no mirror image of its own.
    """
    generator = torch.Generator().manual_seed(0)
    for padding in range(5):
        image = torch.randint(1, 255, (6, 6), generator=generator).double()
        assert len(_variants(image, padding)) == 2 * (2 * padding + 1) ** 2
    assert _variants(torch.tensor([[1.0, 2], [3, 4]]), 0) == {(1, 2, 3, 4), (2, 1, 4, 3)}
    assert len(_variants(torch.ones(6, 6), 4)) == 81
    assert len(_variants(torch.ones(6, 6), 0)) == 1


@settles(
    "tp1-cnn-q22-explanation",
    "assignment-3-3c-augmentation-explanation",
    verdict="holds_if",
    certainty="sampled",
    condition="The transformations nearly keep the label: the noise that is averaged away has to "
    "outweigh what of the truth the variants do not share. To treat all variants alike costs "
    "nothing only where they share all of it; where the label changes with the variant it spoils "
    "the fit.",
)
@pytest.mark.parametrize(("group", "freedom"), [(FLIP, 2), (SHIFTS, 1)], ids=["flips", "shifts"])
def test_copies_fit_a_symmetric_function_and_pass_on_less_noise(group: Group, freedom: int) -> None:
    """The best fit to a sum over a group is unchanged by the group, so it has fewer freedoms.

    What it fits of the noise in the targets falls from 4 (as many as weights) to those freedoms,
    and what it passes on to new inputs falls too. A symmetric truth is found exactly; what of a
    truth is not symmetric is lost. Tried on one set of inputs, exactly.
    """
    plain, augmented = least_squares_map(X), _augmented_map(group)
    assert all(augmented[list(order), :] == augmented for order in group)
    assert plain[list(group[1]), :] != plain
    assert ((X * plain).trace(), augmented.rank()) == (4, freedom)
    average = sum((X[:, list(order)] for order in group), sympy.zeros(6, 4)) / len(group)
    assert (average * augmented).trace() == freedom
    assert (augmented * augmented.T).trace() < (plain * plain.T).trace()

    symmetric, skewed = sympy.ones(4, 1), sympy.Matrix([1, 0, 0, -1])
    answers = sympy.Matrix.vstack(*[X[:, list(order)] * symmetric for order in group])
    assert (
        least_squares_map(sympy.Matrix.vstack(*[X[:, list(order)] for order in group])) * answers
        == symmetric
    )
    assert plain * X * skewed == skewed
    assert augmented * X * skewed != skewed


@settles(
    "tp1-cnn-q22-explanation",
    "assignment-3-3c-augmentation-explanation",
    verdict="holds_if",
    certainty="sampled",
)
@pytest.mark.parametrize(("lean", "helps"), [(Fraction(1, 10), True), (Fraction(1), False)])
def test_flips_help_a_truth_that_is_nearly_symmetric(lean: Fraction, helps: bool) -> None:
    """The error at the same inputs, summed: what is lost of the truth, and the noise fitted.

    Weights of 1 that lean to one side by a tenth lose less than the two units of noise that are
    saved; weights that lean by 1 lose more.
    """
    truth = sympy.ones(4, 1) + sympy.Rational(lean) * sympy.Matrix([1, 0, 0, -1])

    def error(weights: sympy.Matrix) -> sympy.Rational:
        bias, passed_on = X * (weights * X * truth - truth), X * weights
        return bias.dot(bias) + (passed_on.T * passed_on).trace()

    assert error(least_squares_map(X)) == 4
    assert (error(_augmented_map(FLIP)) < 4) == helps


@settles(
    "tp1-cnn-q22-explanation",
    "assignment-3-3c-augmentation-explanation",
    verdict="holds_if",
    certainty="exhausted",
)
def test_flips_spoil_a_label_that_they_change() -> None:
    """Which of two cells is brighter: one example fits it, and with its mirror image nothing does.

    torch's least squares agrees: the weights are equal, and no difference is left to see.
    """
    inputs, targets = torch.tensor([[1.0, 0]]).double(), torch.tensor([[1.0]]).double()
    contradictory = torch.cat([inputs, inputs.flip(1)]), torch.cat([targets, targets])
    plain = torch.linalg.pinv(inputs) @ targets
    mirrored = torch.linalg.lstsq(*contradictory).solution

    def difference(weights: Tensor) -> float:
        return float(weights[0] - weights[1])  # what tells (1, 0) from (0, 1)

    assert abs(difference(plain) - 1) < 4 * torch.finfo(torch.float64).eps
    assert abs(difference(mirrored)) < 8 * torch.finfo(torch.float64).eps


# Symmetry


def _glyph(character: str) -> Bool[np.ndarray, "64 32"]:
    """Return the black cells of a character in a sans-serif face, in a box of its own width."""
    text = TextPath((0, 0), character, size=100, prop=FontProperties(family="DejaVu Sans"))
    box = text.get_extents()
    across, up = (np.arange(32) + 0.5) / 32, (np.arange(64) + 0.5) / 64
    cells = np.stack(np.meshgrid(box.x0 + across * box.width, -25 + up * 105), -1)
    inside = [Path(outline).contains_points(cells.reshape(-1, 2)) for outline in text.to_polygons()]
    return np.logical_xor.reduce(inside).reshape(64, 32)


@settles(
    "tp1-cnn-q23-symmetry",
    verdict="holds_if",
    certainty="exhausted",
    condition="'Not for letters and numbers' is about classes whose mirror images occur as another "
    "class (b and d, p and q, left and right hand), and about flipping as often as not: a rarer "
    "flip leaves equally frequent classes apart, and no other letters or digits of the sans-serif "
    "face that was tried (DejaVu Sans) are mirror images of each other.",
)
def test_flipping_half_of_the_images_makes_mirrored_classes_one() -> None:
    """Of equally frequent classes, an image of the first then carries its label with 1 - p.

    So it is still the likelier label exactly if p < 1/2, and at 1/2 nothing tells the two apart.
    The best answer under cross-entropy is that probability: -q log a - (1 - q) log(1 - a) has its
    only minimum at a = q.
    """
    p = z3.Real("p")
    own, other = (1 - p) / 2, p / 2  # one's own image kept, the other's image flipped onto it
    inside = z3.And(p >= 0, p <= 1)
    assert holds_always(z3.Implies(inside, (own > other) == (p < z3.Q(1, 2))))
    assert holds_always(own / (own + other) == 1 - p)

    q, a = sympy.symbols("q a", positive=True)
    loss = -q * sympy.log(a) - (1 - q) * sympy.log(1 - a)
    assert sympy.solve(sympy.diff(loss, a), a) == [q]
    assert sympy.simplify(sympy.diff(loss, a, 2).subs(a, q) - 1 / (q * (1 - q))) == 0


@settles("tp1-cnn-q23-symmetry", verdict="holds_if", certainty="exhausted")
def test_among_letters_and_digits_only_four_are_mirror_images_of_others() -> None:
    """All pairs of 62 characters, as cells of a box: of b, d, p and q the mirrors coincide.

    Many are their own mirror images, such as 0, 8, A and H; the mirror of 2 is no character at all.
    A cell at an outline may fall on either side, so 1 cell in 50 may differ.
    """
    characters = digits + ascii_uppercase + ascii_lowercase
    shapes = np.array([_glyph(character) for character in characters])
    mirrored = shapes[:, None, :, ::-1]
    differ, either = ((mirrored ^ shapes).sum((2, 3)), (mirrored | shapes).sum((2, 3)))
    pairs = {characters[a] + characters[b] for a, b in np.argwhere(50 * differ < either)}

    assert {pair for pair in pairs if pair[0] < pair[1]} == {"bd", "pq"}
    own = {pair[0] for pair in pairs if pair[0] == pair[1]}
    assert {*"08AH"} <= own
    assert own.isdisjoint("2345679bdpqBCDEFGJKLPQRS")


# What can be added


@settles(
    "tp1-cnn-q24-limits",
    verdict="holds_if",
    certainty="sampled",
    condition="It is said of transformations of the one image: flips, crops, rotations and "
    "lighting of the whole image leave one without any contrast so, but for a border that is "
    "filled in. Augmentation can add an element, by pasting it from another image (copy-paste or "
    "CutMix).",
)
def test_pasting_adds_what_no_transformation_of_one_image_can() -> None:
    """The smallest witness has two cells: a car beside nothing, and the same car beside a person.

    Whatever moves pixels about or maps their values makes a flat image flat again (edges are
    continued, not filled), so no chain of such transformations puts anything into it.
    """
    car, person = torch.tensor([[5.0, 0]]), torch.tensor([[0.0, 9]])
    mask = torch.tensor([[False, True]])
    assert torch.where(mask, person, car).tolist() == [[5, 9]]

    flat = torch.full((1, 1, 8, 8), 3.0)
    wider = functional.pad(flat, [2] * 4, mode="replicate")
    turned = functional.affine_grid(
        torch.tensor([[[0.5, -0.5, 0], [0.5, 0.5, 0]]]), [1, 1, 8, 8], False
    )
    made = [
        flat.flip(-1),
        wider[..., 1:9, 3:11],
        functional.interpolate(flat, scale_factor=2, mode="bilinear"),
        functional.grid_sample(flat, turned, padding_mode="border", align_corners=False),
        2 * flat + 1,
        flat.pow(0.5),
    ]
    for image in made:
        spread = image.max() - image.min()
        assert spread <= 8 * torch.finfo(torch.float32).eps * image.max()
    filled = functional.pad(flat, [2] * 4)[..., 1:9, 3:11]
    assert set(filled.flatten().tolist()) == {0, 3}  # the border, and nothing else
    pasted = torch.where(torch.eye(8).bool(), 9.0, flat)
    assert pasted.max() - pasted.min() == 6
