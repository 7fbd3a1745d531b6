"""No test image is seen in training, and runs for choosing settings see none at all."""

from __future__ import annotations

from dataclasses import replace

import torch

from experiments import speed
from experiments.speed import training
from tests.tiny_race import DATA, TINY, run


def test_a_run_on_the_test_images_trains_on_all_training_images_and_no_other():
    (images, labels), (judged, truth) = speed.parts(DATA, "test")
    assert images is DATA.train_images
    assert labels is DATA.train_labels
    assert judged is DATA.test_images
    assert truth is DATA.test_labels


def test_the_test_images_change_nothing_in_training(monkeypatch):
    """Planted: other test images, under which only what is measured may change."""
    seen = []

    def watch(step, steps):
        seen.append((step, steps))

    def judged(network, images, labels, mean):
        weights.append(torch.cat([each.detach().reshape(-1) for each in network.parameters()]))
        tested.append(images)
        means.append(mean)
        return dict.fromkeys(speed.VIEWS, 0.5)

    weights, tested, means = [], [], []
    monkeypatch.setattr(training, "accuracies", judged)
    other = replace(DATA, test_images=255 - DATA.test_images)
    for data in (DATA, other):
        run(data=data, on_step=watch)
    assert torch.equal(*weights)
    assert torch.equal(tested[0], 255 - tested[1])
    assert torch.equal(*means)  # which test images are judged less, too
    assert seen == 2 * [(step, 24) for step in range(1, 25)]


def test_runs_for_choosing_settings_share_no_random_numbers_with_the_others(monkeypatch):
    named = []
    plain = training.train

    def watched(settings, train_set, classes, streams, on_step):
        named.append(streams)
        return plain(settings, train_set, classes, streams, on_step)

    monkeypatch.setattr(training, "train", watched)
    for split in ("test", "validation"):
        for seed in (0, 1):
            run(replace(TINY, epochs=0.25), seed, split=split)
    assert len(set(named)) == 4


def test_the_validation_split_divides_the_training_images_and_holds_no_test_image():
    marked = replace(DATA, train_images=torch.arange(256).view(-1, 1, 1, 1).expand(-1, 3, 16, 16))
    (images, labels), (held_out, truth) = speed.parts(marked, "validation")
    kept, judged = images[:, 0, 0, 0], held_out[:, 0, 0, 0]
    assert sorted([*kept.tolist(), *judged.tolist()]) == list(range(256))
    assert len(judged) == 25
    assert torch.equal(labels, DATA.train_labels[kept])
    assert torch.equal(truth, DATA.train_labels[judged])
    assert torch.equal(judged, speed.parts(marked, "validation")[1][0][:, 0, 0, 0])
