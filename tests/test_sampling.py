"""Which images a run sees, and in which order."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from experiments import datasets, sampling
from experiments.recipe import Optimizer, Recipe

RECIPE = Recipe("a.b", "fc10", "digits", Optimizer("sgd", 0.1), epochs=1)


def _recipe(**changes: object) -> Recipe:
    return dataclasses.replace(RECIPE, **changes)  # type: ignore[arg-type]


def _orders(count: int, images: int, **changes: object) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return list(itertools.islice(sampling.orders(_recipe(**changes), images, generator), count))


def test_an_epoch_is_one_pass_unless_its_steps_are_counted() -> None:
    first, second = _orders(2, 10)
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(10))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("steps", "batch"), [(1, 4), (3, 4), (7, 5), (2, 10), (2, 25)])
def test_counted_steps_go_through_the_images_pass_by_pass(steps: int, batch: int) -> None:
    orders = _orders(6, 10, steps=steps, batch=batch)
    assert {len(order) for order in orders} == {steps * batch}
    stream = torch.cat(orders)
    for one_pass in stream.split(10)[:-1]:
        assert one_pass.sort().values.tolist() == list(range(10))
    passes = _orders(-(-len(stream) // 10), 10)  # shuffled as where the passes are the epochs
    assert torch.equal(stream, torch.cat(passes)[: len(stream)])


def test_images_held_out_are_not_trained_on() -> None:
    data = datasets.load("digits")
    everything = {image.numpy().tobytes() for image in data.train_images}
    train, held_out = sampling.split(_recipe(validation=300), 0, data)
    assert (len(train[0]), len(held_out[0])) == (1047, 300)
    pools = [{image.numpy().tobytes() for image in images} for images, _ in (train, held_out)]
    assert pools[0] | pools[1] == everything
    # No two of these images are alike, so what lies in both pools would be one image twice.
    assert len(everything) == 1347
    assert not pools[0] & pools[1]


def test_labels_stay_with_their_images() -> None:
    data = datasets.load("digits")
    known = {
        image.numpy().tobytes(): label
        for image, label in zip(data.train_images, data.train_labels, strict=True)
    }
    for images, labels in sampling.split(_recipe(examples=50, validation=20), 3, data):
        assert len(images)
        assert all(
            known[image.numpy().tobytes()] == label
            for image, label in zip(images, labels, strict=True)
        )


def test_the_seed_draws_the_examples() -> None:
    data = datasets.load("digits")
    first, again, other = (
        sampling.split(_recipe(examples=50), seed, data)[0][0] for seed in (0, 0, 1)
    )
    assert len(first) == 50
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(sampling.split(_recipe(examples=50), 0, data)[1][0]) == 0  # none is held out


def test_the_streams_are_those_of_the_stored_records() -> None:
    """Another stream is another engine: the results move, though no record's key would."""
    assert sampling.stream_seed(0, "order") == 5_231_958_647_509_549_229
    assert sampling.stream_seed(1, "init") == 5_267_816_590_608_909_949
    data = datasets.load("digits")
    drawn = torch.randperm(
        len(data.train_labels),
        generator=torch.Generator().manual_seed(sampling.stream_seed(2, "split")),
    )
    train, held_out = sampling.split(_recipe(examples=50, validation=20), 2, data)
    assert torch.equal(train[0], data.train_images[drawn[:50]])
    assert torch.equal(held_out[0], data.train_images[drawn[-20:]])


@pytest.mark.parametrize(
    "changes", [{"validation": 1347}, {"examples": 1348}, {"examples": 1300, "validation": 48}]
)
def test_more_images_than_there_are_cannot_be_had(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="digits has 1347 training images"):
        sampling.split(_recipe(**changes), 0, datasets.load("digits"))
