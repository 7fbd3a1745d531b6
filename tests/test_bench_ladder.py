"""The ladder of training on trial: its tutorial's loop, network and loader, and its operations."""

from __future__ import annotations

import importlib

import pytest
import torch

from tests.bench_runs import NETWORKS


def test_a_round_of_the_tutorials_loop_lies_in_the_middle_of_an_epoch():
    """Its first batch has come when it begins, and others are on their way when it ends."""
    tutorial = importlib.import_module("benches.tutorial")
    taken = []

    class Loader:
        def __iter__(self):
            for index in range(5):
                taken.append(index)
                yield torch.ones(1, 2), torch.zeros(1, dtype=torch.int64)

    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    loop = tutorial.TutorialLoop(network, optimizer, Loader(), 3, "cpu")
    with loop.under_way():
        assert taken == [0]
        loop()
        assert taken == [0, 1, 2]
    assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("network", NETWORKS)
def test_the_tutorial_form_computes_the_same_in_its_own_order(network):
    ladder = importlib.import_module("benches.ladder")
    recipe = importlib.import_module("benches.workload").NETWORKS[network]
    shape = (1, 28, 28) if network == "mnist-2017" else (3, 32, 32)
    plain = ladder.network_of(ladder.TUTORIAL, recipe, shape, "cpu").eval()
    engine = ladder.network_of(ladder.LADDER["+ fused optimiser"], recipe, shape, "cpu").eval()
    kinds = [type(layer).__name__ for layer in plain]
    pools = [i for i, kind in enumerate(kinds) if kind == "MaxPool2d"]
    assert all(kinds[i - 1] == "ReLU" for i in pools)
    assert "Flatten" in kinds
    # In float64 the two differ in the order of their sums alone: of at most 3136 products, where
    # scores are of order 1 to 100.
    x = torch.rand(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(plain.double()(x), engine.double()(x), rtol=0, atol=1e-10)


def test_operations_are_those_of_products_forward_and_backward():
    """Counted by hand: 3 filters of 5x5 on 3x32x32, 9 on 3x14x14, then 225 inputs to 10 scores."""
    first, second, last = 28**2 * 3 * 75, 10**2 * 9 * 75, 225 * 10  # multiply-adds of one pass
    forward = first + second + last
    weights = first + second + last  # the gradient of a layer's weights is as much work
    inputs = second + last  # and so is that of its inputs, which the first layer does without
    workload = importlib.import_module("benches.workload")
    assert workload.flops_per_image("3-filters") == 2 * (forward + weights + inputs)


def test_the_tutorials_loader_has_the_workers_that_are_reported():
    tutorial = importlib.import_module("benches.tutorial")
    inputs = importlib.import_module("experiments.augmentation").Inputs()
    pixels, labels = torch.zeros(4, 3, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)
    images = tutorial.TutorialImages(pixels, labels, inputs)
    loader = tutorial.tutorial_loader(images, 2, shuffle=True)
    assert loader.num_workers == tutorial.loader_workers()
    assert loader.persistent_workers
    assert len(loader) == 2 + tutorial.loader_workers()  # what they fetch while others are timed
