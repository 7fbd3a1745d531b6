"""What a network sees: scaled bytes, random crops and flips."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from experiments.augmentation import Inputs, inputs_of
from experiments.recipe import Optimizer, Recipe

RECIPE = Recipe("a.b", "gap fc10", "cifar10", Optimizer("sgd", 0.1), epochs=1)


def _images(count: int = 40, size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    return images.contiguous(memory_format=torch.channels_last)


def _recipe(**changes: object) -> Recipe:
    return dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]


def _bytes(inputs: Inputs, x: torch.Tensor) -> torch.Tensor:
    return ((x - inputs.shift) / inputs.scale).round().to(torch.uint8)


@pytest.mark.parametrize(("scaling", "low", "high"), [("symmetric", -1.0, 1.0), ("unit", 0.0, 1.0)])
def test_bytes_become_numbers(scaling: str, low: float, high: float) -> None:
    inputs = inputs_of(_recipe(scaling=scaling), _images())
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)
    assert inputs.evaluation(ends).flatten().tolist() == pytest.approx([low, high], abs=1e-7)


def test_standardised_channels_have_mean_0_and_deviation_1() -> None:
    images = _images()
    images[:, 1] //= 3
    x = inputs_of(_recipe(scaling="standard"), images).evaluation(images)
    # Means of 2,560 numbers of order one in float32.
    assert x.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=1e-5)
    assert x.std((0, 2, 3), correction=0).tolist() == pytest.approx([1, 1, 1], rel=1e-5)


def test_a_constant_channel_cannot_be_standardised() -> None:
    images = _images()
    images[:, 2] = 7
    with pytest.raises(ValueError, match="channel of the training images is constant"):
        inputs_of(_recipe(scaling="standard"), images)


def test_without_augmentation_training_sees_what_evaluation_sees() -> None:
    images, indices = _images(), torch.tensor([3, 1, 3])
    inputs = inputs_of(RECIPE, images)
    assert torch.equal(inputs.training(images, indices), inputs.evaluation(images[indices]))


def _versions(image: torch.Tensor, side: int, flip: bool) -> dict[bytes, tuple[int, int, bool]]:
    size = image.shape[-1]
    versions = {}
    for top in range(size - side + 1):
        for left in range(size - side + 1):
            cut = image[:, top : top + side, left : left + side]
            versions[cut.contiguous().numpy().tobytes()] = (top, left, False)
            if flip:
                versions[cut.flip(2).contiguous().numpy().tobytes()] = (top, left, True)
    return versions


@pytest.mark.parametrize(
    ("augmentation", "side", "frame"),
    [("flip", 8, 0), ("crop6", 6, 0), ("pad2", 8, 2), ("pad2 flip", 8, 2), ("crop6 flip", 6, 0)],
)
def test_every_version_of_an_image_comes_up_and_no_other(
    augmentation: str, side: int, frame: int
) -> None:
    images = _images(2)
    inputs = inputs_of(_recipe(augmentation=augmentation), images)
    padded = inputs.padded(images)
    assert padded.shape[2:] == (8 + 2 * frame, 8 + 2 * frame)
    assert torch.equal(padded[:, :, frame:, frame:][:, :, :8, :8], images)
    assert padded.sum() == images.sum()  # the frame is black
    flip = augmentation.endswith("flip")
    versions = _versions(padded[1], side, flip)
    assert len(versions) == (padded.shape[-1] - side + 1) ** 2 * (1 + flip)

    draws = torch.ones(100 * len(versions), dtype=torch.int64)
    x = inputs.training(padded, draws, torch.Generator().manual_seed(1))
    assert x.is_contiguous(memory_format=torch.channels_last)
    seen = [image.contiguous().numpy().tobytes() for image in _bytes(inputs, x)]
    counts = {version: seen.count(version) for version in versions}
    assert sum(counts.values()) == len(draws)
    # 100 expected of each: six standard deviations of a binomial are less than 60.
    assert all(40 < count < 160 for count in counts.values())


def test_each_axis_has_corners_of_its_own() -> None:
    cuts = Inputs(crop=4).draw(200, (4, 9), torch.Generator().manual_seed(0))
    top, left, _ = (set(each.tolist()) for each in cuts.T)
    assert (top, left) == ({0}, set(range(6)))


def test_evaluation_crops_the_middle_and_adds_no_frame() -> None:
    images = _images()
    middle = inputs_of(_recipe(augmentation="crop6 flip"), images)
    assert torch.equal(_bytes(middle, middle.evaluation(images)), images[:, :, 1:7, 1:7])
    framed = inputs_of(_recipe(augmentation="pad2"), images)
    assert torch.equal(_bytes(framed, framed.evaluation(images)), images)
    both = Inputs(crop=6, padding=2)
    assert torch.equal(_bytes(both, both.evaluation(images)), images[:, :, 1:7, 1:7])


def test_of_an_odd_margin_the_smaller_half_is_above_and_to_the_left() -> None:
    images = _images()[:, :, :7].contiguous()
    tall, wide = Inputs(crop=4), Inputs(crop=5)
    assert torch.equal(_bytes(tall, tall.evaluation(images)), images[:, :, 1:5, 2:6])
    assert torch.equal(_bytes(wide, wide.evaluation(images)), images[:, :, 1:6, 1:6])
    across = images.transpose(2, 3)
    assert torch.equal(_bytes(tall, tall.evaluation(across)), across[:, :, 2:6, 1:5])


def test_images_that_are_not_square_are_flipped_whole() -> None:
    images = _images(1)[:, :, :5].contiguous()
    inputs = Inputs(flip=True)
    x = inputs.training(images, torch.zeros(30, dtype=torch.int64), torch.Generator())
    seen = {image.contiguous().numpy().tobytes() for image in _bytes(inputs, x)}
    assert seen == {images.numpy().tobytes(), images.flip(3).contiguous().numpy().tobytes()}


def test_an_image_is_cut_and_flipped_as_was_drawn_for_it() -> None:
    """Red where a run of the same seed would see its images another way round."""
    images = _images(20)
    inputs, every = Inputs(crop=6, flip=True), torch.arange(20)
    draws = inputs.draw(20, (8, 8), torch.Generator().manual_seed(3))
    assert set(draws[:, 2].tolist()) == {0, 1}
    x = inputs.training(images, every, torch.Generator().manual_seed(3))
    for image, version, (top, left, flipped) in zip(
        images, _bytes(inputs, x), draws.tolist(), strict=True
    ):
        cut = image[:, top : top + 6, left : left + 6]
        assert torch.equal(version, cut.flip(2) if flipped else cut)


def test_each_image_of_a_batch_has_a_draw_of_its_own() -> None:
    images = _images(1)
    inputs = inputs_of(_recipe(augmentation="flip"), images)
    x = inputs.training(images, torch.zeros(30, dtype=torch.int64), torch.Generator())
    assert len({image.numpy().tobytes() for image in x.contiguous()}) == 2


@pytest.mark.parametrize("wrong", ["flip crop6", "crop", "pad0", "rotate", "flip flip", " flip"])
def test_an_unknown_augmentation_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is unknown; known: pad4, crop28, flip"):
        _recipe(augmentation=wrong)


def test_a_crop_must_fit() -> None:
    assert inputs_of(_recipe(augmentation="crop8"), _images()).crop == 8
    with pytest.raises(ValueError, match="crop of 9 pixels does not fit in images of 8x8"):
        inputs_of(_recipe(augmentation="crop9"), _images())


def test_a_crop_must_fit_either_way() -> None:
    wide = torch.zeros(2, 1, 8, 12, dtype=torch.uint8)
    for images, size in ((wide, "8x12"), (wide.transpose(2, 3), "12x8")):
        with pytest.raises(ValueError, match=f"crop of 9 pixels does not fit in images of {size}"):
            inputs_of(_recipe(augmentation="crop9"), images)


def test_padding_is_for_square_images() -> None:
    images = torch.zeros(2, 1, 56, 28, dtype=torch.uint8)
    with pytest.raises(ValueError, match="padded crops are of square images, got 56x28"):
        inputs_of(_recipe(augmentation="pad4"), images)


def test_resizing_interpolates_between_the_middles_of_the_pixels() -> None:
    """Twice the size: a new pixel lies a quarter of an old one off its middle."""
    row = torch.tensor([0, 100, 200, 40], dtype=torch.uint8)
    images = row.expand(1, 1, 4, 4)
    inputs = inputs_of(_recipe(resize=8), images)
    levels = torch.tensor([0, 25, 75, 125, 175, 160, 80, 40]) / 127.5 - 1
    # Each is a sum of two products of numbers of size up to 2.
    bound = 8 * torch.finfo(torch.float32).eps
    for x in (inputs.evaluation(images), inputs.training(images, torch.tensor([0]))):
        assert x.shape == (1, 1, 8, 8)
        assert (x - levels).abs().max() < bound


def test_a_smaller_image_is_made_of_all_pixels() -> None:
    """Half the size: each new pixel is the mean of four old ones, weighted 1 : 3 : 3 : 1."""
    row = torch.tensor([0, 0, 0, 80, 0, 0, 0, 0], dtype=torch.uint8)
    images = row.expand(1, 1, 8, 8)
    x = inputs_of(_recipe(resize=4), images).evaluation(images)
    levels = torch.tensor([0, 30, 10, 0]) / 127.5 - 1
    # Each is a sum of sixteen products of numbers of size up to 2.
    assert (x - levels).abs().max() < 64 * torch.finfo(torch.float32).eps


def test_resizing_comes_after_crops_and_flips() -> None:
    images = _images()
    plain, large = (
        inputs_of(_recipe(augmentation="crop6 flip", resize=side), images) for side in (None, 12)
    )
    indices = torch.arange(len(images))
    small, x = (
        inputs.training(images, indices, torch.Generator().manual_seed(1))
        for inputs in (plain, large)
    )
    assert x.shape == (40, 3, 12, 12)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, large.resized(small))


@pytest.mark.parametrize(
    ("resize", "fitting"), [(None, 100), (8, 100), (16, 25), (4, 100), (1000, 1)]
)
def test_enlarged_images_are_evaluated_fewer_at_once(resize: int | None, fitting: int) -> None:
    images = _images()
    assert inputs_of(_recipe(resize=resize), images).fitting(100, images) == fitting


def test_the_side_that_a_network_sees_is_that_of_its_inputs() -> None:
    images = _images()
    for changes in ({}, {"crop": 6}, {"padding": 2, "crop": 8}, {"crop": 6, "resize": 12}):
        inputs = Inputs(**changes)
        assert inputs.evaluation(images).shape[2:] == (inputs.side(8),) * 2


def test_enlarging_half_an_image_counts_as_much_as_a_whole_one() -> None:
    assert Inputs(resize=16).fitting(100, _images()[:, :, :4]) == 12  # 100 * 32 // 256
    assert Inputs(resize=16).fitting(100, _images()[:, :, :, :4]) == 12
