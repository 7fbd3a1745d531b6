"""Training: reproducible, the right optimisers, honest measurements."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils._python_dispatch import TorchDispatchMode

from experiments import datasets, device, sampling, training
from experiments.augmentation import Inputs
from experiments.course import Course
from experiments.recipe import Optimizer, Recipe
from experiments.records import Record
from experiments.training import train

RECIPE = Recipe("small.adam", "conv-fc", "digits", Optimizer("adam", 0.003), epochs=2, filters=2)


def _train(recipe=RECIPE, seed=0, **options):
    return train(recipe, seed, study="test", threads=1, **options)


def test_the_same_recipe_and_seed_give_the_same_record():
    torch.manual_seed(1)
    first = _train()
    torch.rand(7)  # the caller's random state must not matter
    assert _train() == first


def test_the_callers_random_state_and_threads_are_left_alone():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train(RECIPE, 0, study="test", threads=threads + 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.fixture
def gpus(monkeypatch):
    """Log what seeds the random state of GPUs, and fork none of it."""
    seeded, fork_rng = [], torch.random.fork_rng
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: seeded.append(("all", seed)))
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda seed: seeded.append(("current", seed)))

    def fork(devices):
        seeded.append(("forked", *devices))
        return fork_rng(devices=[])

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    return seeded


def test_a_run_on_the_cpu_leaves_the_random_state_of_gpus_alone(gpus):
    _train(dataclasses.replace(RECIPE, network="conv4k3 relu drop0.5 fc10", filters=None, epochs=1))
    assert set(gpus) == {("forked",)}


def test_only_the_gpu_whose_random_state_is_forked_is_seeded(gpus):
    with device.seeded(7, "cuda"):
        assert gpus == [("forked", "cuda"), ("current", 7)]


def test_another_seed_gives_another_record():
    assert _train(seed=1).curves != _train(seed=0).curves


def test_another_seed_starts_from_other_weights():
    data = datasets.load("digits")
    first, again, other = (training.initialised(RECIPE, s, Inputs(), data) for s in (0, 0, 1))
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
        assert not torch.equal(weights, other.state_dict()[name])


def test_fewer_epochs_are_a_prefix_bit_for_bit():
    """What lets the 20-epoch figures be read from 30-epoch runs."""
    long = _train(dataclasses.replace(RECIPE, epochs=3)).curves
    short = _train(dataclasses.replace(RECIPE, epochs=2)).curves
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
        assert getattr(long, name)[:2] == getattr(short, name)


@pytest.mark.parametrize(
    "optimizer",
    [Optimizer("sgd", 0.05), Optimizer("sgd", 0.05, momentum=0.9), Optimizer("adam", 0.01)],
    ids=["sgd", "momentum", "adam"],
)
def test_steps_follow_the_update_rule_written_out(optimizer):
    """Three steps in float64 against the textbook rule (Kingma and Ba 2015 for Adam)."""
    torch.manual_seed(0)
    network = nn.Linear(3, 2).double()
    x, target = torch.randn(8, 3, dtype=torch.float64), torch.randint(0, 2, (8,))
    weight = network.weight.detach().clone().requires_grad_()
    bias = network.bias.detach().clone()
    stepper = training.make_optimizer(optimizer, network)
    network.bias.requires_grad_(False)
    velocity = second = torch.zeros_like(weight)
    for step in range(1, 4):
        stepper.zero_grad()
        F.cross_entropy(network(x), target).backward()
        stepper.step()
        (gradient,) = torch.autograd.grad(F.cross_entropy(x @ weight.T + bias, target), weight)
        with torch.no_grad():
            if optimizer.name == "adam":
                velocity = 0.9 * velocity + 0.1 * gradient
                second = 0.999 * second + 0.001 * gradient**2
                corrected = velocity / (1 - 0.9**step)
                scale = (second / (1 - 0.999**step)).sqrt() + 1e-8
                weight -= optimizer.lr * corrected / scale
            else:
                velocity = optimizer.momentum * velocity + gradient
                weight -= optimizer.lr * velocity
    # Three steps of about ten roundings each on numbers of order one; Adam divides by gradients'
    # roots, which loses no more than their condition, 10 at these sizes.
    assert (network.weight - weight).abs().max() < 3 * 10 * 10 * torch.finfo(torch.float64).eps


def test_the_record_holds_what_a_plain_loop_measures():
    """Two epochs again, in float64 and written out: all four curves and the final training set."""
    data = datasets.load("digits")
    network = training.initialised(RECIPE, 0, Inputs(), data).double()
    stepper = torch.optim.Adam(network.parameters(), lr=0.003)
    order = torch.Generator().manual_seed(sampling.stream_seed(0, "order"))
    images = {"train": data.train_images, "test": data.test_images}
    images = {split: x.double() / 127.5 - 1 for split, x in images.items()}
    labels = {"train": data.train_labels, "test": data.test_labels}

    def measure(split: str) -> tuple[float, float]:
        with torch.no_grad():
            scores = network(images[split])
        picked = scores.log_softmax(1)[torch.arange(len(scores)), labels[split]]
        return -picked.mean().item(), (scores.argmax(1) == labels[split]).double().mean().item()

    expected: dict[str, list[float]] = {"train": [], "test": []}
    orders = []
    for _ in range(RECIPE.epochs):
        orders.append(torch.randperm(len(labels["train"]), generator=order))
        losses = correct = 0.0
        for indices in orders[-1].split(32):
            scores = network(images["train"][indices])
            loss = F.cross_entropy(scores, labels["train"][indices])
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            losses += loss.item() * len(indices)
            correct += (scores.argmax(1) == labels["train"][indices]).sum().item()
        count = len(labels["train"])
        expected["train"] += [losses / count, correct / count]
        expected["test"] += measure("test")
    assert not torch.equal(*orders)

    record = _train()
    curves = record.curves
    for split, loss, accuracy in (
        ("train", curves.train_loss, curves.train_accuracy),
        ("test", curves.test_loss, curves.test_accuracy),
    ):
        found = [value for pair in zip(loss, accuracy, strict=True) for value in pair]
        # float32 against float64: 86 steps, each with relative roundings of some 1e-6 in the
        # gradients that Adam scales to the learning rate; an accuracy may differ by one image.
        assert found == pytest.approx(expected[split], rel=1e-3, abs=1 / 450)
    final = [record.final_train_loss, record.final_train_accuracy]
    assert final == pytest.approx(measure("train"), rel=1e-3)
    assert abs(measure("train")[1] - expected["test"][-1]) > 0.01  # no split passes for the other


def test_every_image_is_seen_once_an_epoch():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.scores = nn.Parameter(torch.zeros(10))

        def forward(self, x):
            seen.append(((x[:, 0, 0, 0] + 1) * 127.5).round().int())
            return self.scores.expand(len(x), 10)

    images = torch.arange(70, dtype=torch.uint8).view(70, 1, 1, 1)
    network = Spy()
    training.train_epoch(
        network,
        torch.optim.SGD(network.parameters(), 0.1),
        images,
        torch.zeros(70, dtype=torch.int64),
        torch.randperm(70),
        RECIPE,
    )
    assert [len(batch) for batch in seen] == [32, 32, 6]
    assert torch.cat(seen).sort().values.tolist() == list(range(70))


def test_an_epoch_waits_for_its_measurements_alone():
    """Two numbers are read back at its end, however many steps it has."""
    data = datasets.load("digits")
    network = training.initialised(RECIPE, 0, Inputs(), data)
    optimizer = training.make_optimizer(RECIPE.optimizer, network)

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, operation, types, arguments=(), options=None):
            self.count += operation is torch.ops.aten._local_scalar_dense.default
            return operation(*arguments, **(options or {}))

    for steps in (1, 5):
        order = torch.arange(steps * RECIPE.batch)
        with Reads() as reads:
            training.train_epoch(
                network, optimizer, data.train_images, data.train_labels, order, RECIPE
            )
        assert reads.count == 2


def test_runs_of_one_seed_share_the_order_and_the_initial_weights():
    data = datasets.load("digits")
    slow = dataclasses.replace(RECIPE, optimizer=Optimizer("sgd", 0.1))
    first, second = (training.initialised(recipe, 3, Inputs(), data) for recipe in (RECIPE, slow))
    assert all(
        torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True)
    )
    assert sampling.stream_seed(3, "order") != training.stream_seed(3, "init")
    assert sampling.stream_seed(3, "order") != training.stream_seed(4, "order")


def test_learning_happens():
    record = _train(dataclasses.replace(RECIPE, epochs=5))
    assert record.curves.train_loss[-1] < record.curves.train_loss[0] / 2
    assert record.final_train_accuracy > 0.8
    assert record.parameters == sum(p.numel() for p in nn.Linear(98, 10).parameters()) + 10


def test_a_diverging_run_is_recorded_as_such():
    record = _train(dataclasses.replace(RECIPE, optimizer=Optimizer("sgd", 1e30), epochs=3))
    assert record.diverged
    assert len(record.curves.train_loss) < 3
    assert record.final_train_accuracy is None
    assert "NaN" not in record.to_json()


def test_a_loss_that_is_lost_at_the_very_end_is_divergence_too(monkeypatch):
    """The final weights give an infinite training loss, though every epoch's mean was finite."""
    evaluate, calls = training.evaluate, []

    def lose_the_last(*arguments):
        calls.append(arguments)
        return (float("inf"), 0.1) if len(calls) == 3 else evaluate(*arguments)

    monkeypatch.setattr(training, "evaluate", lose_the_last)
    record = _train()
    assert record.diverged
    assert record.final_train_loss is None
    assert "Infinity" not in record.to_json()


def test_bfloat16_rounds_the_forward_pass_and_no_more():
    """Scores of one forward pass are off by bfloat16's roundoff, the weights stay float32."""
    data = datasets.load("digits")
    network = training.initialised(RECIPE, 0, Inputs(), data)
    reduced = dataclasses.replace(RECIPE, precision="bfloat16")
    losses = [
        training.evaluate(network, data.test_images, data.test_labels, recipe)[0]
        for recipe in (RECIPE, reduced)
    ]
    assert losses[0] != losses[1]
    # Inputs, weights and results of two layers are each rounded to 2^-8; scores are of order one
    # and the loss is 1-Lipschitz in the largest of their errors, twice.
    assert abs(losses[0] - losses[1]) < 2 * 6 * 2**-8


def test_bfloat16_leaves_the_weights_in_float32(monkeypatch):
    """Red where weights are rounded, before the first step or after the last."""
    reduced = dataclasses.replace(RECIPE, precision="bfloat16")
    expected = training.initialised(RECIPE, 0, Inputs(), datasets.load("digits")).state_dict()
    train_epoch, starts, ends = training.train_epoch, [], []

    def weights(network):
        return {name: value.clone() for name, value in network.state_dict().items()}

    def spy(network, *rest):
        starts.append(weights(network))
        measured = train_epoch(network, *rest)
        ends.append(weights(network))
        return measured

    monkeypatch.setattr(training, "train_epoch", spy)
    handed_on = []
    _train(reduced, on_trained=lambda network, _: handed_on.append(network.state_dict()))
    for name, start in expected.items():
        assert torch.equal(starts[0][name], start)
        assert torch.equal(starts[1][name], ends[0][name])
        assert torch.equal(handed_on[0][name], ends[1][name])
        assert handed_on[0][name].dtype == torch.float32
        assert not torch.equal(ends[1][name], ends[1][name].bfloat16().float())


def test_training_and_evaluation_are_in_the_recipes_precision_and_losses_are_not():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 10)

        def forward(self, x):
            scores = self.layer(x.flatten(1))
            seen.append(scores.dtype)
            return scores

    network, labels = Spy(), torch.zeros(4, dtype=torch.int64)
    images = torch.zeros(4, 1, 1, 1, dtype=torch.uint8)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for precision in ("float32", "bfloat16"):
        recipe = dataclasses.replace(RECIPE, precision=precision)
        training.train_epoch(network, optimizer, images, labels, torch.arange(4), recipe)
        training.evaluate(network, images, labels, recipe)
    assert seen == [torch.float32] * 2 + [torch.bfloat16] * 2
    assert device.full_precision(torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert device.full_precision(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(
    "allow",
    [
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: setattr(torch.backends, "fp32_precision", "tf32"),
        lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
        lambda: setattr(torch.backends.mkldnn.conv, "fp32_precision", "bf16"),
        lambda: None,
    ],
    ids=["products", "all", "one and not the other", "the CPU's convolutions", "nothing"],
)
def test_float32_means_float32_whatever_the_caller_allows(allow, allowed):
    allow()
    before = allowed()
    with device.reproducible(None):
        assert allowed() == ["ieee"] * 6
    assert allowed() == before


@pytest.mark.parametrize(
    ("allow", "cpu", "cuda"),
    [
        (lambda: None, "ieee", "ieee/tf32"),  # as torch comes
        (lambda: torch.set_float32_matmul_precision("medium"), "bf16/ieee", "tf32"),
        (lambda: setattr(torch.backends, "fp32_precision", "tf32"), "tf32", "tf32"),
        (lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"), "ieee", "ieee"),
    ],
    ids=["nothing", "products", "all", "the GPU's convolutions"],
)
def test_what_becomes_of_float32_is_told(allow, cpu, cuda, allowed):
    allow()
    assert [device.float32_products(name) for name in ("cpu", "cuda")] == [cpu, cuda]
    with device.reproducible(None):
        assert [device.float32_products(name) for name in ("cpu", "cuda")] == ["ieee"] * 2


def test_a_record_says_what_became_of_float32(allowed):
    """Red where what the caller allows is asked, and not what the run did."""
    torch.set_float32_matmul_precision("medium")
    record = training.train(RECIPE, 0, study="test")
    assert record.provenance["float32_products"] == "ieee"


def test_only_deterministic_convolutions_are_used():
    cudnn = torch.backends.cudnn

    def flags():
        return cudnn.enabled, cudnn.deterministic, cudnn.benchmark

    before = flags()
    assert before == (True, False, False)
    try:
        cudnn.enabled, cudnn.benchmark = False, True
        with device.reproducible(None):
            assert flags() == (True, True, False)
        assert flags() == (False, False, True)
    finally:
        cudnn.enabled, cudnn.deterministic, cudnn.benchmark = before


def test_every_existing_record_keeps_its_key():
    """A digest covers what a recipe says and no setting at its default, present or future."""
    recipe = Recipe("x.sgd", "two-conv", "cifar10", Optimizer("sgd", 0.01), epochs=30, filters=20)
    assert recipe.digest == "aa0d88f7ae533d61067b31c1ea81d1058abe5a9ff2cd2ebfbf2ec3786edaa959"


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.1, 0.1, 0.1, 0.1]),
        ("exponential-0.5", [0.1, 0.05, 0.025, 0.0125]),
        ("step-2-0.1", [0.1, 0.1, 0.01, 0.01]),
        ("cosine", [0.1, 0.05 * (1 + 0.5**0.5), 0.05, 0.05 * (1 - 0.5**0.5)]),
    ],
)
def test_the_learning_rate_follows_its_schedule(monkeypatch, schedule, rates):
    seen, train_epoch = [], training.train_epoch

    def spy(network, optimizer, *rest):
        seen.append(optimizer.param_groups[0]["lr"])
        return train_epoch(network, optimizer, *rest)

    monkeypatch.setattr(training, "train_epoch", spy)
    settings = Optimizer("sgd", 0.1, schedule=schedule)
    _train(dataclasses.replace(RECIPE, optimizer=settings, epochs=4, examples=32))
    assert seen == pytest.approx(rates)


def test_images_held_out_are_measured_and_counted():
    record = _train(dataclasses.replace(RECIPE, validation=347))
    assert record.train_size == 1000
    assert len(record.curves.validation_loss) == len(record.curves.validation_accuracy) == 2
    assert record.curves.validation_loss != record.curves.test_loss
    assert 347 * record.curves.validation_accuracy[-1] == pytest.approx(
        round(347 * record.curves.validation_accuracy[-1])
    )
    assert record.best_train_accuracy is None
    assert not _train().curves.validation_loss


def test_patience_stops_a_run_that_no_longer_improves():
    """A learning rate that makes the validation loss rise ends the run early."""
    recipe = dataclasses.replace(
        RECIPE, examples=40, validation=300, patience=3, epochs=200, batch=40
    )
    record = _train(recipe)
    losses = record.curves.validation_loss
    assert 3 < len(losses) < 200
    assert min(losses[-3:]) >= losses[-4]
    assert all(min(losses[i - 3 : i]) < losses[i - 4] for i in range(4, len(losses)))
    assert not record.diverged
    assert Record.from_json(record.to_json()) == record


def test_a_loss_that_stays_the_same_does_not_improve():
    course = Course(dataclasses.replace(RECIPE, validation=10, patience=2, epochs=9))
    for finished in (False, False, True):
        course.add((1.0, 0.5), (1.0, 0.5), (1.0, 0.5), dict)
        assert course.finished == finished


def test_patience_does_not_outlast_the_epochs():
    course = Course(dataclasses.replace(RECIPE, validation=10, patience=5, epochs=2))
    for finished in (False, True):
        course.add((1.0, 0.5), (1.0, 0.5), (1.0, 0.5), dict)
        assert course.finished == finished


@pytest.mark.parametrize("lost", ["trained", "tested", "validated"])
@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_lost_on_any_images_is_divergence(lost, loss):
    course = Course(dataclasses.replace(RECIPE, validation=10))
    measured = dict.fromkeys(("trained", "tested", "validated"), (1.0, 0.5)) | {lost: (loss, 0.1)}
    course.add(**measured, state=dict)
    assert course.diverged
    assert course.finished
    assert course.curves.train_loss == []


def test_the_best_weights_are_those_of_the_lowest_validation_loss(monkeypatch):
    scores = iter([3.0, 1.0, 2.0, 2.0, 2.0])  # validation losses; epoch 2 has the lowest
    evaluate, states, measured = training.evaluate, [], []

    def planned(network, images, labels, *rest):
        loss, accuracy = evaluate(network, images, labels, *rest)
        if len(images) == 300:
            states.append({k: v.clone() for k, v in network.state_dict().items()})
            loss = next(scores)
        elif len(images) == 100:
            measured.append((dict(network.state_dict()), accuracy))
        return loss, accuracy

    monkeypatch.setattr(training, "evaluate", planned)
    record = _train(dataclasses.replace(RECIPE, examples=100, validation=300, patience=3, epochs=9))
    assert len(states) == 5
    (_, last), (weights, best) = measured  # the training set: with the last, then the best weights
    assert all(torch.equal(weights[name], states[1][name]) for name in weights)
    assert (record.final_train_accuracy, record.best_train_accuracy) == (last, best)


def test_the_final_accuracy_is_of_the_last_weights_and_the_network_handed_on_has_the_best(
    monkeypatch,
):
    scores = iter([1.0, 2.0, 2.0])
    evaluate, states, measured, handed_on = training.evaluate, [], [], []

    def copied(network):
        return {name: value.clone() for name, value in network.state_dict().items()}

    def planned(network, images, *rest):
        state = copied(network)
        if len(images) == 300:
            states.append(state)
            return next(scores), 0.5
        if len(images) == 100:
            measured.append(state)
        return evaluate(network, images, *rest)

    monkeypatch.setattr(training, "evaluate", planned)
    recipe = dataclasses.replace(RECIPE, examples=100, validation=300, patience=2, epochs=9)
    _train(recipe, on_trained=lambda network, _: handed_on.append(copied(network)))
    best, _, last = states
    for name in best:
        assert torch.equal(measured[0][name], last[name])
        assert torch.equal(measured[1][name], best[name])
        assert torch.equal(handed_on[0][name], best[name])
        assert not torch.equal(best[name], last[name])


def test_evaluation_gives_a_network_back_in_its_mode_and_training_hands_on_one_to_evaluate():
    """Red where the network handed on drops units out."""
    handed_on = []
    recipe = dataclasses.replace(RECIPE, network="relu drop0.5 fc10", filters=None, epochs=1)
    _train(recipe, on_trained=lambda network, inputs: handed_on.append((network, inputs)))
    ((network, inputs),) = handed_on
    data = datasets.load("digits")
    assert not network.training
    for mode in (False, True):
        training.evaluate(network.train(mode), data.test_images, data.test_labels, recipe, inputs)
        assert network.training is mode


def test_of_equal_validation_losses_the_first_is_the_lowest(monkeypatch):
    """As `at_lowest_validation_loss` counts; a network of dead units repeats its loss."""
    scores = iter([3.0, 1.0, 1.0, 1.0, 1.0])
    evaluate, states = training.evaluate, []

    def planned(network, images, labels, *rest):
        loss, accuracy = evaluate(network, images, labels, *rest)
        if len(images) == 300:
            loss = next(scores)
        if len(images) in (100, 300):
            states.append({k: v.clone() for k, v in network.state_dict().items()})
        return loss, accuracy

    monkeypatch.setattr(training, "evaluate", planned)
    record = _train(dataclasses.replace(RECIPE, examples=100, validation=300, patience=3, epochs=9))
    assert record.curves.validation_loss == [3.0, 1.0, 1.0, 1.0, 1.0]
    assert all(torch.equal(states[-1][name], states[1][name]) for name in states[1])


def test_counted_steps_are_an_epoch(monkeypatch):
    batches, train_epoch = [], training.train_epoch

    def spy(network, optimizer, images, labels, order, *rest):
        batches.append(len(order) / RECIPE.batch)
        return train_epoch(network, optimizer, images, labels, order, *rest)

    monkeypatch.setattr(training, "train_epoch", spy)
    _train(dataclasses.replace(RECIPE, steps=5, examples=50, epochs=3))
    assert batches == [5, 5, 5]


def test_no_epochs_measure_the_initial_network():
    record = _train(dataclasses.replace(RECIPE, epochs=0))
    assert record.curves.train_loss == []
    assert not record.diverged
    assert 0.0 < record.final_train_accuracy < 0.3


def test_dropout_and_crops_are_drawn_by_the_seed():
    recipe = dataclasses.replace(
        RECIPE, network="conv4k3 relu drop0.5 fc10", filters=None, augmentation="pad1 flip"
    )
    torch.manual_seed(1)
    first = _train(recipe)
    torch.rand(3)
    assert _train(recipe) == first
    assert _train(dataclasses.replace(recipe, augmentation="pad1")).curves != first.curves
    wide = dataclasses.replace(recipe, network="conv4k3 relu drop0.4 fc10")
    assert _train(wide).curves != first.curves


def test_weight_decay_pulls_the_weights_to_zero():
    network = nn.Linear(3, 2)
    before = network.weight.detach().clone()
    stepper = training.make_optimizer(Optimizer("sgd", 0.5, weight_decay=0.25), network)
    (0 * network(torch.zeros(1, 3))).sum().backward()
    stepper.step()
    assert torch.equal(network.weight, before - 0.5 * 0.25 * before)


def test_the_training_time_is_that_of_the_updates_alone(monkeypatch):
    """What an epoch's seconds are taken from; every look at this clock takes a second."""
    now = [0.0]

    def perf_counter():
        now[0] += 1.0
        return now[0]

    def slow(*arguments):
        now[0] += 100.0
        return evaluate(*arguments)

    evaluate = training.evaluate
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=perf_counter))
    monkeypatch.setattr(training, "evaluate", slow)
    made = _train().provenance
    assert made["training_seconds"] == RECIPE.epochs
    assert made["wall_seconds"] > 100 * RECIPE.epochs


def test_progress_is_told_after_each_epoch():
    told = []
    _train(on_epoch=told.append)
    assert told == [1, 2]


def test_a_device_that_is_not_there_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="finds no GPU; use --device cpu"):
        _train(device="cuda")
    with pytest.raises(ValueError, match="device 'tpu' is unknown"):
        _train(device="tpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_cuda_repeats_itself_bit_for_bit():
    assert _train(device="cuda") == _train(device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_cuda_follows_the_cpu_within_float32():
    cuda, cpu = _train(device="cuda"), _train()
    assert cuda.curves.train_loss[0] == pytest.approx(cpu.curves.train_loss[0], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": -1}, "epochs must be at least 0"),
        ({"precision": "float8"}, "precision 'float8' is unknown"),
        ({"batch": -1}, "batch must be at least 1"),
        ({"patience": 2}, "patience needs validation images"),
        ({"scaling": "log"}, "scaling 'log' is unknown; known: symmetric"),
        ({"initialisation": "zeros"}, "initialisation 'zeros' is unknown"),
    ],
)
def test_an_impossible_recipe_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rmsprop", 0.1), "'rmsprop' is unknown"),
        (("sgd", 0.0), "must be positive"),
        (("sgd", float("nan")), "must be positive"),
        (("sgd", 0.1, 1.0), r"must be in \[0, 1\)"),
        (("adam", 0.1, 0.9), "Adam has no momentum"),
        (("sgd", 0.1, 0.0, -1e-4), "weight decay must not be negative"),
        (("sgd", 0.1, 0.0, 0.0, "linear"), "schedule 'linear' is unknown; known: constant"),
        (("sgd", 0.1, 0.0, 0.0, "step-0-0.1"), "schedule 'step-0-0.1' is unknown"),
    ],
)
def test_an_impossible_optimiser_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(*arguments)
