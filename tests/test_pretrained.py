"""Pretrained weights: found, checked and taken; every way to have none says what to do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pooch
import pytest
import torch
from torch import nn

from experiments import catalog, networks, sweep
from experiments.image_files import DATA_VARIABLE, DataError
from experiments.networks import pretrained
from experiments.networks.resnet import ResNet18
from experiments.recipe import Optimizer, Recipe
from experiments.records import Store
from experiments.training import train

NAME = "resnet18-f37072fd.pth"
RECIPE = Recipe(
    "start.sgd",
    "resnet-18-7x7",
    "digits",
    Optimizer("sgd", 0.1),
    0,
    filters=2,
    examples=20,
    initialisation="imagenet",
    resize=33,
)


def _network(channels: int = 1, filters: int = 2, classes: int = 10) -> nn.Module:
    torch.manual_seed(1)
    return networks.build("resnet-18-7x7", (channels, 33, 33), filters, classes)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Return a data folder with the weights of a narrow network, which count as the official."""
    torch.manual_seed(0)
    trained = ResNet18(channels=1, filters=2, classes=1000, stem="7x7")
    for buffer in trained.buffers():
        buffer += 3
    path = tmp_path / "data" / "weights" / NAME
    path.parent.mkdir(parents=True)
    torch.save(trained.state_dict(), path)
    monkeypatch.setattr(pretrained, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    return path.parents[1]


def _trained(root: Path) -> dict[str, torch.Tensor]:
    return torch.load(root / "weights" / NAME, weights_only=True)


def test_all_but_the_last_layer_are_taken(root) -> None:
    network, drawn = _network(), _network()
    pretrained.start_from_imagenet(network, root)
    for name, value in network.state_dict().items():
        expected = drawn.state_dict() if name.startswith("fc.") else _trained(root)
        assert torch.equal(value, expected[name]), name


def test_a_run_starts_from_them_whatever_its_seed(root) -> None:
    """The networks of two seeds differ in their last layers alone, and the drawn ones in all."""
    found = []
    for seed in (0, 1):
        train(
            RECIPE,
            seed,
            study="test",
            data_root=root,
            threads=1,
            on_trained=lambda network, inputs: found.append(network.state_dict()),
        )
    differing = {name for name, value in found[0].items() if not torch.equal(value, found[1][name])}
    assert differing == {"fc.weight", "fc.bias"}
    assert torch.equal(found[0]["conv1.weight"], _trained(root)["conv1.weight"])


def test_the_names_are_those_of_the_file() -> None:
    """As torchvision writes them: a stage or block that is called otherwise would stay random."""
    blocks = {f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)}
    convolutions = {f"{block}.conv{k}" for block in blocks for k in (1, 2)} | {"conv1"}
    norms = {f"{block}.bn{k}" for block in blocks for k in (1, 2)} | {"bn1"}
    convolutions |= {f"layer{stage}.0.downsample.0" for stage in (2, 3, 4)}
    norms |= {f"layer{stage}.0.downsample.1" for stage in (2, 3, 4)}
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert set(_network().state_dict()) == (
        {f"{name}.weight" for name in convolutions}
        | {f"{name}.{each}" for name in norms for each in statistics}
        | {"fc.weight", "fc.bias"}
    )


def test_a_file_without_counters_will_do(root, monkeypatch) -> None:
    path = root / "weights" / NAME
    torch.save({k: v for k, v in _trained(root).items() if "num_batches" not in k}, path)
    monkeypatch.setattr(pretrained, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    network = _network()
    pretrained.start_from_imagenet(network, root)
    assert torch.equal(network.get_parameter("conv1.weight"), _trained(root)["conv1.weight"])
    assert network.get_buffer("bn1.num_batches_tracked") == 0


@pytest.mark.parametrize(
    "network",
    [_network(filters=4), _network(channels=3), networks.build("conv-gap", (1, 8, 8), 3, 10)],
    ids=["wider", "colour", "another"],
)
def test_another_network_cannot_start_from_them(root, network) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match="only the network 'resnet-18-7x7' with 64 filters"):
        pretrained.start_from_imagenet(network, root)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_another_file_is_refused(root) -> None:
    with (root / "weights" / NAME).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DataError, match=rf"{NAME} has the SHA-256 \w+…, expected .*download.pytor"):
        pretrained.find(root)


def test_what_the_data_folder_lacks_is_downloaded(root, tmp_path, monkeypatch) -> None:
    asked = []

    def retrieve(url, known_hash, fname, path, **kwargs):
        asked.append((url, known_hash))

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert pretrained.find(root) == root / "weights" / NAME
    assert asked == []
    for folder in (tmp_path, None):
        assert pretrained.find(folder) == tmp_path / "convlaws" / "weights" / NAME
    official = (f"https://download.pytorch.org/models/{NAME}", f"sha256:{pretrained._SHA256}")
    assert asked == [official, official]


def test_the_official_hash_is_that_of_the_name() -> None:
    """PyTorch's hub puts the first digits of a file's SHA-256 into its name."""
    assert pretrained._SHA256.startswith(NAME.removesuffix(".pth").partition("-")[2])


def test_without_a_network_it_says_what_to_fetch(root, tmp_path, monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    advice = rf"cannot download weights/{NAME} .*fetch https://.*{NAME} yourself and put it into"
    with pytest.raises(DataError, match=advice):
        pretrained.find()


def test_a_sweep_asks_for_them_before_it_trains(root, tmp_path, monkeypatch) -> None:
    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    store = Store(tmp_path / "store")
    digits = catalog.study("digits")
    recipes = [digits.recipes[0], RECIPE]
    runs = sweep.plan(digits, [0], store, recipes=recipes, data_root=root)
    assert len(runs) == 2
    with pytest.raises(DataError, match="cannot download weights"):
        sweep.plan(digits, [0], store, recipes=recipes, data_root=tmp_path)
