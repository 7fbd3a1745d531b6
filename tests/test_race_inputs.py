"""The images that a network of the race sees: in both hands, shifted and halved."""

from __future__ import annotations

import pytest
import torch

from experiments import speed
from experiments.speed import inputs, network, schedule
from tests.tiny_race import TINY, TRAIN_SET, patterns, pictures


def test_a_batch_is_the_images_less_their_mean_some_of_them_mirrored():
    images, _ = patterns(8, 2)
    mean = inputs.channel_means(images)
    batch = inputs.Pixels(images, mean).batch(torch.tensor([5, 0]), torch.tensor([0, 3, 5]))
    expected = images[[5, 0, 0, 3, 5]].float() - mean[:, None, None]
    expected[2:] = expected[2:].flip(3)
    assert torch.equal(batch, expected)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_all_or_none_of_a_batch_may_be_mirrored():
    images, _ = patterns(4, 2)
    pixels = inputs.Pixels(images, torch.zeros(3))
    everything, nothing = torch.arange(4), torch.arange(0)
    assert torch.equal(pixels.batch(everything, nothing), images.float())
    assert torch.equal(pixels.batch(nothing, everything), images.float().flip(3))


def test_halved_pixels_are_means_of_four():
    image = torch.tensor([[0.0, 2, 255, 255], [1, 4, 255, 254]])
    images = torch.stack([image, -image, 2 * image])[None]
    small = inputs.halved(images.contiguous(memory_format=torch.channels_last))
    assert small.tolist() == [[[[1.75, 254.75]], [[-1.75, -254.75]], [[3.5, 509.5]]]]
    assert small.is_contiguous(memory_format=torch.channels_last)
    seen = pictures(2, side=8).float().contiguous(memory_format=torch.channels_last)
    assert torch.equal(inputs.halved(seen), torch.nn.functional.avg_pool2d(seen, 2))


def test_two_epochs_show_every_image_once_in_each_hand():
    order, mirrored = schedule.appearances(50, 2, "a")
    seen = {(int(i), int(hand)) for i, hand in zip(order, mirrored, strict=True)}
    assert seen == {(i, hand) for i in range(50) for hand in (0, 1)}
    assert sorted(order[:50].tolist()) == list(range(50))


def test_the_first_steps_see_small_images_and_the_rest_whole_ones(monkeypatch):
    seen = []
    forward = network.RaceNet.forward

    def watched(made, x):
        seen.append(tuple(x.shape[2:]))
        return forward(made, x)

    monkeypatch.setattr(network.RaceNet, "forward", watched)
    speed.train(TINY, TRAIN_SET, 2, "a")
    assert seen == 6 * [(8, 8)] + 18 * [(16, 16)]


class Knowing(torch.nn.Module):
    """Tells class 1 by the row and column of an image's one bright pixel, where it knows them."""

    def __init__(self, places):
        super().__init__()
        self.places = places

    def forward(self, x):
        """Score 1 for class 1 in the places it knows, and half of that for class 0 anywhere."""
        bright = [tuple(image.sum(0).nonzero()[0].tolist()) for image in x]
        return torch.tensor([[0.5, float(place in self.places)] for place in bright])


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({(4, 3)}, {1: 1.0, 2: 0.0, 6: 0.0}),
        ({(4, 3), (4, 4)}, {1: 1.0, 2: 1.0, 6: 0.0}),
        ({(3, 2), (3, 5), (5, 4), (5, 3)}, {1: 0.0, 2: 0.0, 6: 1.0}),
    ],
    ids=["as it is", "in both hands", "shifted, in both hands"],
)
def test_views_are_both_hands_and_both_shifts(places, expected):
    """A pixel in (4, 3) of 8x8 is in (4, 4) when mirrored, in (3, 2) and (5, 4) when shifted."""
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    images[:, :, 4, 3] = 1
    found = speed.views.accuracies(Knowing(places), images, torch.ones(1).long(), torch.zeros(3))
    assert found == expected
