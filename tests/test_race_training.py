"""A run of the race: it repeats, learns what can be learned, and follows its settings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from experiments import speed
from experiments.speed import muon, network, schedule, training
from tests.tiny_race import DATA, TINY, TRAIN_SET, run


def test_the_same_seed_gives_the_same_result_whatever_was_drawn_before():
    first = run()
    torch.rand(3)
    state = torch.get_rng_state()
    assert run() == first
    assert torch.equal(torch.get_rng_state(), state)
    trained = [
        speed.train(TINY, TRAIN_SET, 2, name)[0].head.weight
        for name in ("test/0", "test/0", "test/1", "validation/0")
    ]
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])
    assert not torch.equal(trained[0], trained[3])


def test_a_network_is_initialised_without_seeding_gpus(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    speed.train(replace(TINY, epochs=0.25), TRAIN_SET, 2, "a")
    assert seeded == []


def test_muon_holds_the_size_of_the_convolutions_and_the_rest_is_trained_too():
    long, short = (
        speed.train(replace(TINY, epochs=epochs), TRAIN_SET, 2, "a")[0] for epochs in (0.25, 1)
    )
    for (name, weight), other in zip(long.named_parameters(), short.parameters(), strict=True):
        assert torch.equal(weight, other) != weight.requires_grad, name
    for convolution in long.convolutions:
        bank = convolution.weight.detach().double()
        # Scaled in float32: a sum of n squares errs by n roundings at most, its root by half.
        bound = (bank.numel() / 2 + 4) * 2**-24
        assert bank.norm().item() == pytest.approx(len(bank) ** 0.5, rel=bound)


@pytest.mark.parametrize(
    "change",
    [{}, {"whitened": False}, {"optimiser": "sgd"}, {"small": 0.0}, {"precision": "bfloat16"}],
    ids=["whole", "without-whitening", "without-muon", "without-small-images", "bfloat16"],
)
def test_what_can_be_learned_is_learned(change):
    result = run(replace(TINY, **change))
    assert all(accuracy > 0.9 for accuracy in result.accuracy.values())


def test_bfloat16_rounds_what_float32_does_not():
    """Its weights differ from the first step on: planted, a precision that changed nothing."""
    one_step = replace(TINY, epochs=32 / 256)
    rounded, exact = (
        speed.train(replace(one_step, precision=precision), TRAIN_SET, 2, "a")[0]
        for precision in ("bfloat16", "float32")
    )
    assert not torch.equal(rounded.head.weight, exact.head.weight)
    assert rounded.head.weight.dtype == torch.float32


def test_shuffled_labels_do_not_reach_what_true_ones_do():
    """Planted: the measurement must not find what is not there (six sigma of 128 coin flips)."""
    order = torch.randperm(len(DATA.train_labels), generator=torch.Generator().manual_seed(0))
    shuffled = replace(DATA, train_labels=DATA.train_labels[order])
    assert run(data=shuffled).accuracy[1] < 0.5 + 6 * 0.5 / 128**0.5


def test_the_rate_grows_to_its_peak_and_shrinks_to_nothing():
    heights = [schedule.triangle(progress, 0.25) for progress in (0, 0.125, 0.25, 0.625, 1)]
    assert heights == [0, 0.5, 1, 0.5, 0]


@pytest.mark.parametrize("optimiser", ["muon", "sgd"])
def test_every_optimiser_follows_the_triangle(monkeypatch, optimiser):
    settings = replace(TINY, optimiser=optimiser, peak=0.25)
    made, rates = [], []
    plain = training._optimisers
    monkeypatch.setattr(training, "_optimisers", lambda *given: made.extend(plain(*given)) or made)
    speed.train(
        settings,
        TRAIN_SET,
        2,
        "a",
        lambda *_: rates.append([group["lr"] for each in made for group in each.param_groups]),
    )
    peaks = [settings.rate, settings.bias_rate, settings.head_rate]
    for step, found in enumerate(rates):
        height = schedule.triangle((step + 0.5) / 24, 0.25)
        assert found == [pytest.approx(peak * height) for peak in peaks]


@pytest.mark.parametrize("optimiser", ["muon", "sgd"])
def test_every_optimiser_has_its_momentum(optimiser):
    settings = replace(TINY, optimiser=optimiser, momentum=0.6, head_momentum=0.85)
    trained = network.RaceNet(6, 3, (8, 16), (True, True), 2)
    banks, rest = training._optimisers(settings, trained)
    assert isinstance(banks, muon.Muon if optimiser == "muon" else torch.optim.SGD)
    assert [group["momentum"] for group in banks.param_groups] == [0.6]
    assert [group["momentum"] for group in rest.param_groups] == [0.85, 0.85]
    plain = rest.param_groups if optimiser == "muon" else rest.param_groups + banks.param_groups
    assert all(group["nesterov"] for group in plain)
    assert all(group["weight_decay"] == group["dampening"] == 0 for group in plain)


def test_softened_labels_ask_for_a_little_of_every_class():
    """After one step from one start the heads differ by what the other labels ask for."""
    one_step = replace(TINY, epochs=32 / 256)
    soft, hard = (
        speed.train(replace(one_step, smoothing=smoothing), TRAIN_SET, 2, "a")[0].head.weight
        for smoothing in (0.5, 0.0)
    )
    assert not torch.equal(soft, hard)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be positive and finite, got 0"),
        ({"epochs": float("nan")}, "epochs must be positive and finite"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"epochs": "2"}, "epochs must be a number, got '2'"),
        ({"batch": 2.5}, "batch must be an integer, got 2.5"),
        ({"components": True}, "components must be an integer, got True"),
        ({"widths": (0, 8)}, "each of widths must be at least 1, got 0"),
        ({"widths": (), "pooled": ()}, "widths are those of at least one convolution, got none"),
        ({"rate": float("nan")}, "rate must be finite and not negative, got nan"),
        ({"head_momentum": -0.1}, "head_momentum must be finite and not negative, got -0.1"),
        ({"peak": "late"}, "peak must be a number, got 'late'"),
        ({"widths": (8,)}, "there are 1 and 2 of them"),
        ({"optimiser": "adam"}, "optimiser 'adam' is unknown; known: muon, sgd"),
        ({"precision": "float16"}, "precision 'float16' is unknown; known: float32, bfloat16"),
        ({"small": 1.5}, r"small must be in \[0, 1\], got 1.5"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


def test_a_split_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="split 'train' is unknown; known: test, validation"):
        run(split="train")


def test_too_few_images_for_a_batch_are_refused():
    with pytest.raises(ValueError, match=r"0\.1 epochs of 256 images do not fill one batch of 32"):
        run(replace(TINY, epochs=0.1))
