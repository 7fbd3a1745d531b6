"""The race: its stem whitens, Muon orthogonalises, runs repeat, and no test image is seen."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments import datasets, speed
from experiments.datasets import Dataset
from experiments.records import RecordError
from experiments.speed import inputs, muon, network, schedule, side_by_side, training
from experiments.speed.settings import Settings

UNIT = torch.finfo(torch.float64).eps / 2
"""Unit roundoff."""

TINY = Settings(
    epochs=3, batch=32, components=6, widths=(8, 16), pooled=(True, True), small=0.25,
    rate=0.15, bias_rate=0.04, head_rate=0.4, precision="float32",
)  # fmt: skip


def pictures(count, side=16, channels=3, seed=0):
    """Make images with the long-range correlations that whitening is for."""
    rng = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, channels, side // 4, side // 4, generator=rng)
    rough = torch.rand(count, channels, side, side, generator=rng)
    large = torch.nn.functional.interpolate(smooth, size=(side, side), mode="bilinear")
    return (255 * (0.8 * large + 0.2 * rough)).to(torch.uint8)


def patterns(count, seed):
    """Make images of two classes, which a look at the upper and the lower half tells apart."""
    images = pictures(count, seed=seed)
    labels = torch.randint(2, (count,), generator=torch.Generator().manual_seed(seed))
    images[labels == 0, :, :8] //= 2
    images[labels == 1, :, 8:] //= 2
    return images.contiguous(memory_format=torch.channels_last), labels


def dataset(train=256, test=128):
    return Dataset("patterns", *patterns(train, 0), *patterns(test, 1), 2, fingerprint="made up")


DATA = dataset()
TRAIN_SET = DATA.train_images, DATA.train_labels


def run(settings=TINY, seed=0, data=DATA, **options):
    return speed.race(settings, seed, data, **options)


# --- the stem -----------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [0.0, 100.0])
def test_the_stem_whitens_the_patches_it_was_made_from(floor):
    """Second moments of the outputs: λ / (λ + floor) on the diagonal, 0 off it.

    Two parts round. The eigenvectors of the computed covariance C are those of one that differs
    from C by at most ``k u ‖C‖`` in norm (k rows, a modest factor included; Anderson and others,
    *LAPACK Users' Guide*, section 4.7), and C itself, a sum over m patches, by ``m u ‖C‖``. After
    division by the deviations this error counts ``‖C‖ / (least λ + floor)`` times as much.
    """
    images = pictures(64).double()
    images -= images.mean((0, 2, 3), keepdim=True)
    rows = network.patches(images)
    filters = network.whitening_filters(images, 12, floor).flatten(1)
    outputs = rows @ filters.T
    moments = outputs.T @ outputs / len(outputs)

    covariance = rows.T @ rows / len(rows)
    variances = torch.linalg.eigvalsh(covariance).flip(0)[:12]
    expected = torch.diag(variances / (variances + floor))
    condition = covariance.norm() / (variances[-1] + floor)
    bound = 2 * (len(rows) + rows.shape[1]) * UNIT * condition
    assert bound < 1e-8  # or the next line would say little
    assert (moments - expected).abs().max() <= bound


def test_the_stem_of_the_network_is_those_filters_with_both_signs_and_is_not_trained():
    images = pictures(8).float() - 128
    stem = network.whitening_filters(images, 3)
    made = network.RaceNet(stem, 3, (4,), (True,), classes=2)
    assert torch.equal(made.stem.weight, torch.cat([stem, -stem]))
    assert not made.stem.weight.requires_grad
    result, _ = speed.train(TINY, TRAIN_SET, 2, "a")
    again, _ = speed.train(replace(TINY, epochs=0.25), TRAIN_SET, 2, "a")
    assert torch.equal(result.stem.weight, again.stem.weight)
    assert not torch.equal(result.head.weight, again.head.weight)


def test_without_whitening_the_stem_is_trained():
    plain = replace(TINY, whitened=False)
    once, _ = speed.train(replace(plain, epochs=0.25), TRAIN_SET, 2, "a")
    made, _ = speed.train(plain, TRAIN_SET, 2, "a")
    assert not torch.equal(made.stem.weight, once.stem.weight)


def test_components_that_do_not_exist_are_refused():
    images = pictures(8).float() - 128
    with pytest.raises(ValueError, match=r"49 components were asked for, but .* has 1 to 48"):
        network.whitening_filters(images, 49)
    with pytest.raises(ValueError, match="is constant and cannot be brought to variance 1"):
        network.whitening_filters(torch.zeros(8, 3, 16, 16), 1, floor=0.0)


# --- Muon ---------------------------------------------------------------------------------------


def polynomial(s, steps):
    a, b, c = muon.POLYNOMIAL
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return s


SHAPES = [(4, 9), (9, 4), (6, 6)]


@pytest.mark.parametrize("shapes", [*([shape] for shape in SHAPES), SHAPES])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_singular_vectors_stay_and_singular_values_follow_the_polynomial(shapes, steps):
    """To ``16 · steps · (m + n) · u`` times what the factors amplify, alone and in a stack.

    A step is four products of matrices of m rows at most, whose entries err by (m + n) u times
    their norms; a factor has norm at most |a| + |b| + |c| on the unit ball.
    """
    generator = torch.Generator().manual_seed(3)
    matrices = [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]
    found = muon.orthogonalised(matrices, steps)
    for matrix, turned in zip(matrices, found, strict=True):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        expected = left @ torch.diag(polynomial(values / values.norm(), steps)) @ right
        growth = sum(map(abs, muon.POLYNOMIAL)) ** (2 * steps)
        bound = 16 * max(steps, 1) * sum(matrix.shape) * UNIT * growth
        assert bound < 1e-6
        assert (turned - expected).abs().max() <= bound


def test_three_steps_leave_singular_values_near_one():
    """Every singular value of at least 0.02 of the norm ends between 0.68 and 1.21."""
    s = np.linspace(0.02, 1, 1_000_001)
    reached = polynomial(s, muon.STEPS)
    # Between grid points p changes by at most its slope, 3.45 a step, times their distance.
    slack = 3.45**muon.STEPS * (s[1] - s[0])
    assert 0.68 + slack < reached.min()
    assert reached.max() < 1.21 - slack
    matrix = torch.randn(64, 576, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(muon.orthogonalised([matrix])[0])
    assert values.min() > 0.68
    assert values.max() < 1.21


def test_a_zero_gradient_moves_nothing():
    other = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    still, moved = muon.orthogonalised([torch.zeros(3, 5), other])
    assert torch.equal(still, torch.zeros(3, 5))
    assert moved.norm() > 1


def test_muon_follows_its_rule_written_out():
    """Two steps against the rule, in float64; a bank keeps its norm, and turns by what lr says."""
    bank = torch.nn.Parameter(
        torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )
    gradients = torch.randn(2, 4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator())
    optimiser = muon.Muon([bank], lr=0.1, momentum=0.6)
    expected = bank.detach().clone()
    assert expected.norm().item() == pytest.approx(2, rel=4 * UNIT)
    velocity = torch.zeros_like(expected)
    for gradient in gradients:
        bank.grad = gradient.clone()
        optimiser.step()
        velocity = 0.6 * velocity + gradient
        (turned,) = muon.orthogonalised([(gradient + 0.6 * velocity).flatten(1)])
        expected -= 0.1 * turned.view_as(expected)
        expected *= 2 / expected.norm()
        # The same operations in another order: some 20 roundings of numbers up to 2.
        assert (bank - expected).abs().max() <= 40 * UNIT


# --- images side by side ------------------------------------------------------------------------


def whole_numbers(*shape, seed):
    numbers = torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed))
    return numbers.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (8, 8)])
@pytest.mark.parametrize("images", [16, 32])
def test_gradients_side_by_side_are_those_of_one_by_one(monkeypatch, size, images):
    """Whole numbers: every sum of the reference is one that bfloat16 rounds once, at the end."""
    x = whole_numbers(images, 4, *size, seed=0).requires_grad_()
    layer = side_by_side.SmallMapConv2d(4, 6)
    layer.weight.data = whole_numbers(6, 4, 3, 3, seed=1).float()
    gradient = whole_numbers(images, 6, *size, seed=2)
    seen = []
    laid = side_by_side.side_by_side
    monkeypatch.setattr(
        side_by_side, "side_by_side", lambda maps, gap: seen.append(maps) or laid(maps, gap)
    )
    with torch.autocast("cpu", torch.bfloat16):
        scores = layer(x)
    scores.backward(gradient)
    assert len(seen) == 2

    exact = [t.detach().double() for t in (x, layer.weight, gradient)]
    plain = exact[0].requires_grad_(), exact[1].requires_grad_()
    expected = torch.nn.functional.conv2d(*plain, padding=1)
    expected.backward(exact[2])
    for found, wanted in (
        (scores, expected.detach()),
        (x.grad, plain[0].grad),
        (layer.weight.grad, plain[1].grad),
    ):
        assert torch.equal(found.double(), wanted.to(torch.bfloat16).double())


def test_no_image_sees_its_neighbour():
    maps = whole_numbers(32, 2, 2, 3, seed=0)
    wide = side_by_side.side_by_side(maps, 1)
    assert wide.shape == (2, 2, 2, 16 * 4)
    assert wide.is_contiguous(memory_format=torch.channels_last)
    for image, part in enumerate(wide[1].split(4, dim=2)):
        assert torch.equal(part[:, :, :3], maps[16 + image])
        assert not part[:, :, 3].any()


@pytest.mark.parametrize(
    ("images", "width", "dtype"),
    [(15, 4, torch.bfloat16), (16, 9, torch.bfloat16), (16, 4, torch.float32)],
)
def test_other_maps_take_the_plain_way(monkeypatch, images, width, dtype):
    monkeypatch.setattr(side_by_side, "_Convolution", None)
    layer = side_by_side.SmallMapConv2d(2, 3).to(dtype)
    x = whole_numbers(images, 2, 2, width, seed=0).to(dtype)
    assert torch.equal(layer(x), torch.nn.functional.conv2d(x, layer.weight, padding=1))


# --- batches ------------------------------------------------------------------------------------


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


# --- runs ---------------------------------------------------------------------------------------


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


def test_training_is_timed_and_testing_is_not(monkeypatch):
    """By a clock that moves a second a step, an hour a test, and a day while data are read."""
    clock = SimpleNamespace(now=0.0)

    def taking(seconds, answer):
        def take(*arguments):
            clock.now += seconds
            return answer

        return take

    clock.perf_counter = lambda: clock.now
    clock.process_time = lambda: 2 * clock.now  # two threads
    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(training, "parts", taking(86_400, speed.parts(DATA, "test")))
    monkeypatch.setattr(training, "accuracies", taking(3_600, dict.fromkeys(speed.VIEWS, 0.5)))
    result = run(on_step=taking(1, None))
    assert result.training_seconds == 24
    assert result.processor_seconds == 48
    assert result.provenance["wall_seconds"] == 24 + 3_600


class Sent:
    """A tensor that stays where it is when it is sent to a GPU."""

    def __init__(self, tensor):
        self._tensor = tensor

    def to(self, device):
        """Return the tensor."""
        return self._tensor


@pytest.fixture
def gpu(monkeypatch):
    """Let the CPU stand in for a GPU, and log what happens in a race.

    What is logged is whose steps are taken, of images of which size, when the clock starts, and
    when the peak of memory is forgotten.
    """
    log = []
    sent = [tuple(map(Sent, each)) for each in speed.parts(DATA, "test")]
    monkeypatch.setattr(training, "check_device", lambda device: None)
    monkeypatch.setattr(training, "parts", lambda *_: sent)
    plain, forward = training.train, network.RaceNet.forward

    def train(settings, train_set, classes, streams, *rest):
        log.append(streams)
        return plain(settings, train_set, classes, streams, *rest)

    def watched(made, x):
        if made.training:
            log.append(x.shape[2])
        return forward(made, x)

    class Clock(training._Clock):
        def __init__(self, device):
            log.append("clock")
            super().__init__("cpu")

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training, "_Clock", Clock)
    monkeypatch.setattr(network.RaceNet, "forward", watched)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: log.append("memory"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 7)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    return log


@pytest.mark.parametrize(
    ("small", "sizes"), [(0.25, [8, 16]), (0.0, [16, 16]), (1.0, [8, 8])], ids=str
)
@pytest.mark.parametrize("batch", [32, 96])  # of 256 images: 2.67 batches an epoch
def test_on_a_gpu_every_kernel_was_loaded_before_the_clock_starts(gpu, small, sizes, batch):
    settings = replace(TINY, small=small, batch=batch)
    found = run(settings, device="cuda")
    start = ["warm-up", *sizes, "memory", "clock", "test/0"]
    assert gpu[: len(start)] == start
    assert len(gpu) == len(start) + 3 * 256 // batch
    assert found.accuracy == run(settings).accuracy  # no random number was used up


def test_on_the_cpu_nothing_comes_before_the_clock(gpu):
    run()
    assert gpu[:2] == ["clock", "test/0"]


def test_the_first_steps_see_small_images_and_the_rest_whole_ones(monkeypatch):
    seen = []
    forward = network.RaceNet.forward

    def watched(made, x):
        seen.append(tuple(x.shape[2:]))
        return forward(made, x)

    monkeypatch.setattr(network.RaceNet, "forward", watched)
    speed.train(TINY, TRAIN_SET, 2, "a")
    assert seen == 6 * [(8, 8)] + 18 * [(16, 16)]


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be positive and finite, got 0"),
        ({"epochs": float("nan")}, "epochs must be positive and finite"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"widths": (8,)}, "there are 1 and 2 of them"),
        ({"optimiser": "adam"}, "optimiser 'adam' is unknown; known: muon, sgd"),
        ({"precision": "float16"}, "precision 'float16' is unknown; known: float32, bfloat16"),
        ({"small": 1.5}, r"small must be in \[0, 1\], got 1.5"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


def test_too_few_images_for_a_batch_are_refused():
    with pytest.raises(ValueError, match=r"0\.1 epochs of 256 images do not fill one batch of 32"):
        run(replace(TINY, epochs=0.1))


# --- results ------------------------------------------------------------------------------------


def made_up(accuracy, seed=0, **changes):
    made = speed.Result(
        TINY, seed, "test", "cpu", "made up", dict.fromkeys(speed.VIEWS, accuracy), 2.0,
        {"training_seconds": 1.0 + seed, "hardware": "made up", "threads": 1},
    )  # fmt: skip
    return replace(made, **changes)


def test_a_result_comes_back_as_it_was_written(tmp_path):
    results = speed.Results(tmp_path)
    result = run()
    path = results.path("tiny", TINY, 0, "test", "cpu")
    results.write(path, result)
    assert results.read(path) == result
    assert results.read(path).provenance == result.provenance
    assert results.all() == [result]
    assert results.all("validation") == []
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_result_without_an_engine_is_of_the_first(tmp_path, monkeypatch):
    results = speed.Results(tmp_path)
    path = results.path("tiny", TINY, 0, "test", "cpu")
    results.write(path, made_up(0.8))
    old = json.loads(path.read_text())
    del old["engine"]
    path.write_text(json.dumps(old))
    assert results.find(path) is None
    monkeypatch.setattr("experiments.speed.results.ENGINE_VERSION", 1)
    assert results.find(path) is not None


def test_a_result_of_another_engine_does_not_count(tmp_path):
    results = speed.Results(tmp_path)
    path = results.path("tiny", TINY, 0, "test", "cpu")
    assert results.find(path) is None
    results.write(path, made_up(0.8, engine=0))
    assert results.find(path) is None
    assert results.all() == []
    results.write(path, made_up(0.8))
    assert results.find(path) is not None


@pytest.mark.parametrize(
    "damage",
    [
        {"accuracy": {}},
        {"accuracy": {"1": 0.8, "2": 0.8, "6": 1.2}},
        {"processor_seconds": "x"},
        {"provenance": {"training_seconds": 1.0, "hardware": "made up"}},
        {"provenance": {"training_seconds": 1.0, "threads": 1}},
        {"provenance": {"training_seconds": "x", "threads": 1, "hardware": "made up"}},
    ],
    ids=str,
)
def test_a_result_that_lacks_something_is_named(tmp_path, damage):
    path = tmp_path / "result.json"
    speed.Results(tmp_path).write(path, made_up(0.8))
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(RecordError, match=r"result .*result\.json cannot be read"):
        speed.Results(tmp_path).read(path)


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"settings": {"epochs": -1}}'])
def test_a_damaged_result_is_named(tmp_path, damage):
    path = tmp_path / "result.json"
    path.write_text(damage)
    with pytest.raises(RecordError, match=r"result .*result\.json cannot be read"):
        speed.Results(tmp_path).read(path)


def test_the_target_is_reached_where_the_whole_interval_lies_above_it():
    results = [made_up(0.80 + 0.01 * seed, seed) for seed in range(2)]
    slow = {"training_seconds": 90.0, "hardware": "made up", "threads": 1}
    results.append(made_up(0.82, 2, provenance=slow, processor_seconds=170.0))
    found = speed.summary(results, views=1)
    half = 4.302653 * 0.01 / 3**0.5  # t-quantile of two degrees of freedom
    assert found.mean == pytest.approx(0.81)
    assert found.interval.low == pytest.approx(0.81 - half, abs=1e-7)
    assert (found.median_seconds, found.median_processor_seconds) == (2.0, 2.0)
    assert found.above(0.81 - 1.01 * half)
    assert not found.above(0.81 - 0.99 * half)
    assert not speed.summary(results[:1], views=1).above(0.5)  # one seed has no interval


def test_only_seeds_of_one_recipe_have_a_mean():
    for other in (
        made_up(0.8, 0),
        made_up(0.8, 1, settings=replace(TINY, epochs=4)),
        made_up(0.8, 1, split="validation"),
        made_up(0.8, 1, dataset_fingerprint="another"),
    ):
        with pytest.raises(ValueError, match="only different seeds of one recipe"):
            speed.summary([made_up(0.8, 0), other], views=1)
    eight = {"training_seconds": 1.0, "hardware": "made up", "threads": 8}
    with pytest.raises(ValueError, match=r"made up, 1 threads; made up, 8 threads\); name another"):
        speed.summary([made_up(0.8, 0), made_up(0.8, 1, provenance=eight)], views=1)
    with pytest.raises(ValueError, match="no results to summarise"):
        speed.summary([], views=1)


def test_every_recipe_of_the_ladder_differs_from_every_other():
    digests = [entry.settings.digest for entry in speed.RECIPES.values()]
    assert len(set(digests)) == len(digests)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def toy(monkeypatch):
    """Let the command race on a few images with small recipes."""
    monkeypatch.setattr(datasets, "load", lambda name, root: DATA)
    entries = {"whole": speed.Entry(TINY, "every idea")}
    monkeypatch.setattr("experiments.speed.ladder.RECIPES", entries)


@pytest.mark.usefixtures("toy")
def test_a_race_runs_what_is_missing_and_judges(convlaws, tmp_path, monkeypatch):
    arguments = ("race", "--target", 60, "--store", tmp_path, "--threads", 1)
    code, out, err = convlaws(*arguments, "--seeds", 1)
    assert code == 0
    assert err == ""  # no progress where there is no terminal
    assert "one seed has no interval: add --seeds 5" in out
    first = next((tmp_path / speed.FOLDER).iterdir())
    written = first.read_bytes()
    code, out, _ = convlaws(*arguments, "--seeds", 3, "--json")
    assert code == 0
    assert first.read_bytes() == written  # kept, its seconds too
    data = json.loads(out)
    assert data["reached"] is True
    assert [result["seed"] for result in data["results"]] == [0, 1, 2]
    assert {result["split"] for result in data["results"]} == {"test"}
    monkeypatch.setattr(training, "train", None)  # nothing is left to train
    code, out, _ = convlaws(*arguments, "--seeds", 3)
    assert code == 0
    assert "above 60 %" in out


@pytest.mark.usefixtures("toy")
def test_results_of_other_threads_or_data_are_not_taken_for_what_was_asked(
    convlaws, refused, tmp_path, monkeypatch
):
    asked = ("race", "--seeds", 1, "--store", tmp_path)
    assert convlaws(*asked, "--threads", 1)[0] == 0
    assert convlaws(*asked)[0] == 0  # how many does not matter
    complaint = refused(*asked, "--threads", 2)
    assert "holds results with 1 thread, and seconds depend on them" in complaint
    assert "to race with 2 threads, name another --store" in complaint
    monkeypatch.setattr(datasets, "load", lambda name, root: replace(DATA, fingerprint="other"))
    for more in (("--data-root", tmp_path), ("--seeds", 2)):
        assert "another version of CIFAR-10" in refused(*asked, *more)
    assert convlaws(*asked)[0] == 0  # nothing is loaded, and nothing compared


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("other", ["threads", "machine"])
def test_no_seed_is_trained_whose_seconds_cannot_be_compared(
    convlaws, refused, tmp_path, monkeypatch, other
):
    asked = ("race", "--store", tmp_path)
    assert convlaws(*asked, "--seeds", 1, "--threads", 1)[0] == 0
    if other == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        more = ()
    else:
        monkeypatch.setattr("experiments.provenance.processor", lambda: "an abacus")
        more = ("--threads", 1)
    monkeypatch.setattr(training, "train", None)
    complaint = refused(*asked, "--seeds", 2, *more)
    way = "3 threads of" if other == "threads" else "1 thread of an abacus"
    assert f"to race with {way}" in complaint
    assert convlaws(*asked, "--seeds", 1)[0] == 0  # what is there can be shown anywhere


@pytest.mark.usefixtures("toy")
def test_a_store_that_cannot_be_written_is_refused_before_the_race(refused, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(training, "train", None)
    assert "cannot write" in refused("race", "--seeds", 1, "--store", tmp_path / "file" / "store")


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("precision", "hardware", "warned"),
    [("bfloat16", False, True), ("bfloat16", True, False), ("float32", False, False)],
)
def test_a_race_in_emulated_bfloat16_says_that_it_is_slow(
    convlaws, tmp_path, monkeypatch, precision, hardware, warned
):
    settings = replace(TINY, epochs=0.25, precision=precision)
    entries = {"whole": speed.Entry(settings, "every idea")}
    monkeypatch.setattr("experiments.speed.ladder.RECIPES", entries)
    monkeypatch.setattr("theory.processor.multiplies_bfloat16", lambda: hardware)
    asked = ("race", "--seeds", 1, "--store", tmp_path, "--threads", 1)
    code, _, err = convlaws(*asked)
    assert code == 0
    assert ("only emulates bfloat16" in err) is warned
    assert convlaws(*asked)[2] == ""  # nothing is trained, and nothing is slow


@pytest.mark.usefixtures("toy")
def test_a_validation_race_lies_apart(convlaws, tmp_path):
    arguments = ("race", "--seeds", 1, "--store", tmp_path, "--threads", 1, "--json")
    results = [
        json.loads(convlaws(*arguments, *more)[1])["results"] for more in ((), ("--validation",))
    ]
    assert [result["split"] for each in results for result in each] == ["test", "validation"]
    assert len(list((tmp_path / speed.FOLDER).iterdir())) == 2


@pytest.mark.usefixtures("toy")
def test_an_interval_in_json_is_the_list_of_its_ends(convlaws, tmp_path):
    arguments = ("race", "--seeds", 2, "--store", tmp_path, "--threads", 1, "--json")
    summary = json.loads(convlaws(*arguments)[1])["summary"]
    low, high = summary["interval"]
    assert low <= summary["mean"] <= high


def test_the_recipes_are_listed(convlaws):
    code, out, _ = convlaws("race", "--list")
    assert code == 0
    assert all(name in out for name in speed.RECIPES)
    _, out, _ = convlaws("race", "--list", "--json")
    assert json.loads(out).keys() == speed.RECIPES.keys()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("fast",), "race recipe 'fast' is unknown; known: whole, without-whitening"),
        (("--views", 3), "3 views are not offered; choose 1, 2 or 6"),
        (("--target", 0.8026, "--views", 5), "5 views are not offered"),
        (("--target", 120), "between 0 and 100 percent, got 120"),
        (("--data-root", "nowhere"), "nowhere does not exist"),
    ],
)
def test_bad_input_is_refused_in_a_line(refused, tmp_path, arguments, complaint):
    assert complaint in refused("race", *arguments, "--store", tmp_path)


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture
def page(monkeypatch):
    pytest.importorskip("sphinx", reason="the docs extra is not installed")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "docs"))
    return importlib.import_module("_ext.race")


@pytest.fixture
def stored(tmp_path):
    """Store made-up results of every recipe, better with more epochs."""
    kept = speed.Results(tmp_path)
    for name, entry in speed.RECIPES.items():
        for seed in range(2):
            settings = entry.settings
            accuracy = 0.8 + 0.001 * seed + 0.01 * (name == "whole")
            made = {"hardware": "made up", "threads": 1}
            provenance = {"training_seconds": settings.epochs, **made}
            result = made_up(accuracy, seed, settings=settings, provenance=provenance)
            kept.write(kept.path(name, settings, seed, "test", "cpu"), result)
    return tmp_path


def test_the_page_shows_what_is_stored(page, stored):
    runs = page.runs_of(stored)
    assert runs.keys() == speed.RECIPES.keys()
    ladder = {name: results for name, results in runs.items() if name in speed.LADDER}
    lost = page.race_pictures.losses(ladder)
    assert {each.label: pytest.approx(100 * each.mean) for each in lost} == {
        **{name.replace("-", " "): -1 for name in speed.LADDER if name != "whole"},
        "1 view instead of 6": 0,
        "2 views instead of 6": 0,
    }
    for drawn in (page.race_pictures.ladder(lost), page.race_pictures.curve(runs, 0.8026)):
        assert drawn.axes


def test_numbers_below_the_curve_do_not_run_into_each_other(page, stored):
    """Lengths of 3.25 and 3.5 epochs are 8 % apart."""
    runs = page.runs_of(stored)
    lengths = {name: runs[name] for name in ("whole", *speed.CURVE)}
    axes = page.race_pictures.curve(lengths, 0.8026).axes[0]
    assert [*axes.get_xticks()] == [1, 2, 2.25, 3.25, 4, 5.5]


def test_held_out_images_have_columns_of_their_own(page, stored):
    runs = page.runs_of(stored)
    assert "held out" not in page._lengths(runs, page.runs_of(stored, "validation")).astext()
    kept = speed.Results(stored)
    for seed, accuracy in enumerate((0.71, 0.72, 0.73)):
        held_out = made_up(accuracy, seed, split="validation", settings=speed.WHOLE)
        kept.write(kept.path("whole", speed.WHOLE, seed, "validation", "cpu"), held_out)
    page.runs_of.cache_clear()
    shown = page._lengths(page.runs_of(stored), page.runs_of(stored, "validation"))
    head, *rows = ([cell.astext() for cell in row] for row in shown.findall(page.nodes.row))
    assert head[-2:] == ["held out, 1 view", "held out, 6 views"]
    cells = {name: cells[-2:] for name, *cells in rows}
    # The half-width of three seeds 1 point apart: t(0.975, 2) = 4.3027 times 1 / sqrt(3).
    assert cells.pop("whole") == ["72.00 ± 2.48 % (3)"] * 2
    assert cells
    assert all(others == ["–", "–"] for others in cells.values())


def test_results_that_cannot_be_summarised_fail_the_page(page, stored):
    other = {"training_seconds": 1.0, "hardware": "an abacus", "threads": 1}
    kept = speed.Results(stored)
    result = made_up(0.8, 7, settings=speed.WHOLE, provenance=other)
    kept.write(kept.path("whole", speed.WHOLE, 7, "test", "cpu"), result)
    page.runs_of.cache_clear()
    with pytest.raises(page.ExtensionError, match="measured in different ways"):
        page.runs_of(stored)


def test_seconds_of_different_machines_are_not_compared_on_the_page(page, stored):
    runs = dict(page.runs_of(stored))
    name = "without-muon"
    other = {"training_seconds": 1.0, "hardware": "an abacus", "threads": 1}
    runs[name] = [replace(result, provenance=other) for result in runs[name]]
    ladder = {name: runs[name] for name in ("whole", "without-muon", "without-smoothing")}
    seconds = {each.label: each.seconds for each in page.race_pictures.losses(ladder)}
    assert seconds["without muon"] is None
    assert seconds["without smoothing"] is not None


def test_a_stale_result_fails_the_page(page, stored):
    stale = made_up(0.8, 7, settings=replace(speed.WHOLE, batch=7))
    kept = speed.Results(stored)
    kept.write(kept.path("whole", stale.settings, 7, "test", "cpu"), stale)
    page.runs_of.cache_clear()
    with pytest.raises(page.ExtensionError, match=f"{stale.settings.digest[:12]}.* is stale"):
        page.runs_of(stored)
