"""Portraits show the filters and maps of the network that sat for them, and survive a disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from experiments import networks, portrait
from experiments.errors import InputError
from experiments.figures.portraits import COLUMNS, draw_filters, draw_maps
from experiments.networks import layers
from experiments.portrait import Portrait
from experiments.records import Store
from experiments.runs import Run


@pytest.fixture
def network() -> nn.Sequential:
    """Make a network whose last maps differ in training, where it drops what they are made of."""
    torch.manual_seed(0)
    return layers.build("conv5k3 relu max2 conv6k3 relu drop0.5 conv7k3 fc10", (3, 8, 8))[0]


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_what_a_portrait_shows(network: nn.Sequential, images: torch.Tensor) -> None:
    first, last = network[0], network[6]
    shown = portrait.take(network, images)
    np.testing.assert_array_equal(shown.filters, first.weight.detach().numpy().astype(np.float16))
    with torch.no_grad():
        early = first(images)
        late = network.eval()[:7](images)
    assert isinstance(last, nn.Conv2d)
    np.testing.assert_array_equal(shown.first, early.numpy().astype(np.float16))
    np.testing.assert_array_equal(shown.last, late.numpy().astype(np.float16))


def test_the_sitter_is_left_as_it_was(network: nn.Sequential, images: torch.Tensor) -> None:
    portrait.take(network, images)
    assert network.training
    assert not any(layer._forward_hooks for layer in network.modules())
    with pytest.raises(RuntimeError):
        portrait.take(network, images[:, :1])
    assert network.training
    assert not any(layer._forward_hooks for layer in network.modules())


def test_a_sitter_in_evaluation_mode_stays_in_it(
    network: nn.Sequential, images: torch.Tensor
) -> None:
    portrait.take(network.eval(), images)
    assert not network.training


def test_a_network_of_one_convolution_shows_its_maps_twice(images: torch.Tensor) -> None:
    network, _ = layers.build("conv5k3 relu fc10", (3, 8, 8))
    shown = portrait.take(network, images)
    np.testing.assert_array_equal(shown.first, shown.last)


def test_without_a_convolution_there_is_nothing_to_show(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="no convolution"):
        portrait.take(layers.build("fc10", (3, 8, 8))[0], images)


def test_without_images_there_is_nothing_to_show(network, images) -> None:
    with pytest.raises(InputError, match="a portrait needs at least one image, got none"):
        portrait.take(network, images[:0])
    with pytest.raises(InputError, match="there are no maps to draw"):
        draw_maps(np.zeros((0, 3, 8, 8)))


def test_a_network_that_collapses_its_convolutions_has_no_maps() -> None:
    network = networks.build("linear-two-conv", (1, 8, 8), 3, 10)
    with pytest.raises(ValueError, match="does not compute the maps of its convolutions"):
        portrait.take(network, torch.zeros(1, 1, 8, 8))


def test_a_portrait_that_cannot_be_taken_costs_no_training(refused, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("experiments.runs.train", lambda *args, **kwargs: pytest.fail("trained"))
    error = refused("portrait", "digits", "linear", "--store", tmp_path)
    assert "digits linear.adam has no portrait: the network does not compute the maps" in error
    error = refused("portrait", "digits", "conv-fc", "--images", 451, "--store", tmp_path)
    assert "--images 451: digits has 450 for tests; give no more" in error


def test_a_portrait_that_cannot_be_kept_loses_no_record(refused, tmp_path, monkeypatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.portrait.write_whole", full)
    assert "No space left" in refused("portrait", "digits", "conv-fc", "--store", tmp_path)
    assert len(list(Store(tmp_path).records("digits"))) == 1


def test_a_portrait_on_disk(network: nn.Sequential, images: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "new" / "shown.npz"
    shown = portrait.take(network, images)
    portrait.save(shown, path)
    again = portrait.load(path)
    for name in ("filters", "first", "last"):
        np.testing.assert_array_equal(getattr(again, name), getattr(shown, name))
    assert [each.name for each in path.parent.iterdir()] == ["shown.npz"]


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:100], lambda whole: b"", lambda whole: b"{}"]
)
def test_a_damaged_portrait_is_named(
    damage, network: nn.Sequential, images: torch.Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "shown.npz"
    portrait.save(portrait.take(network, images), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"shown\.npz is no portrait .*make it anew"):
        portrait.load(path)


def test_a_missing_portrait_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="experiments portrait"):
        portrait.load(tmp_path / "none.npz")


def test_a_folder_that_cannot_be_made_is_named(
    network: nn.Sequential, images: torch.Tensor, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write .*name another folder"):
        portrait.save(portrait.take(network, images), tmp_path / "file" / "shown.npz")


def test_drawn_filters_are_centred_on_grey() -> None:
    filters = np.zeros((COLUMNS + 1, 3, 2, 2), np.float16)
    filters[0, 0, 0, 0], filters[0, 1, 0, 0] = 2, -1
    shown = Portrait(filters, np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2)))
    figure = draw_filters(shown)
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(figure.axes) == 2 * COLUMNS
    assert len(drawn) == COLUMNS + 1
    np.testing.assert_array_equal(drawn[0][0, 0], [1, 0.25, 0.5])
    assert (drawn[1] == 0.5).all()


def test_a_filter_is_drawn_by_its_first_channel_as_far_as_its_own_largest_weight() -> None:
    filters = np.zeros((2, 2, 2, 3), np.float16)
    filters[0, 0] = [[-1, 0, 2], [1, 0, 0]]
    filters[1, 0, 0, 0] = -4
    filters[:, 1] = 8
    figure = draw_filters(Portrait(filters, np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2))))
    first, second = (axes.images[0] for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(first.get_array(), [[0.25, 0.5, 1], [0.75, 0.5, 0.5]])
    np.testing.assert_array_equal(second.get_array(), [[0, 0.5, 0.5], [0.5, 0.5, 0.5]])
    for image in (first, second):
        assert (image.get_clim(), image.get_cmap().name) == ((0, 1), "gray")


def test_maps_are_drawn_a_row_an_image() -> None:
    maps = np.arange(2 * 3 * 4.0).reshape(2, 3, 2, 2)
    figure = draw_maps(maps)
    assert len(figure.axes) == 2 * COLUMNS
    np.testing.assert_array_equal(figure.axes[COLUMNS].images[0].get_array(), maps[1, 0])
    assert not figure.axes[3].images
    image = figure.axes[COLUMNS + 2].images[0]  # black is its own least, white its own greatest
    assert (image.get_clim(), image.get_cmap().name) == ((20, 23), "gray")


def test_the_command_keeps_a_portrait_beside_the_record_of_the_run(convlaws, tmp_path) -> None:
    arguments = ("digits", "conv-fc", "--threads", 1, "--store", tmp_path)
    code, out, err = convlaws("portrait", *arguments, "--images", 2)
    assert (code, err) == (0, "")
    (record,) = (tmp_path / "digits").glob("conv-fc.adam.seed-0.cpu.*.json")
    path = portrait.place(record)
    assert out == f"{path}\n"
    assert path.name == record.name.replace(".json", ".portrait.npz")
    shown = portrait.load(path)
    assert shown.filters.ndim == 4
    assert shown.first.shape[:2] == (2, len(shown.filters))

    # It is the portrait of the run that a record tells of: a second one is the same.
    records = list(Store(tmp_path).records("digits"))
    _, _, err = convlaws("run", *arguments, "--seeds", 1)
    assert "nothing is missing" in err
    assert convlaws("portrait", *arguments, "--images", 2)[0] == 0
    np.testing.assert_array_equal(portrait.load(path).last, shown.last)
    assert list(Store(tmp_path).records("digits")) == records


def test_a_portrait_of_other_weights_than_the_records_is_not_kept(
    convlaws, refused, tmp_path, monkeypatch
) -> None:
    """Such as another processor may end at: red where the record is not looked at."""
    arguments = ("portrait", "digits", "conv-fc", "--store", tmp_path)
    assert convlaws(*arguments, "--threads", 1)[0] == 0
    (shown,) = (tmp_path / "digits").glob("*.npz")
    shown.unlink()
    train = Run.train

    def elsewhere(run, *listeners):
        assert run.threads == 1  # as the record's run had, unless another number is asked for
        record = train(run, *listeners)
        return dataclasses.replace(record, final_train_loss=record.final_train_loss + 1e-7)

    monkeypatch.setattr(Run, "train", elsewhere)
    said = refused(*arguments)
    assert "something else than its record" in said
    assert "1 threads of" in said
    assert not list((tmp_path / "digits").glob("*.npz"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("digits", "no-such-role"), "no-such-role"),
        (("nni-2023-ex1", "conv-gap"), "names 3 recipes of nni-2023-ex1; name one of conv-gap.sgd"),
    ],
)
def test_one_recipe_has_to_be_named(refused, tmp_path, arguments, words) -> None:
    assert words in refused("portrait", *arguments, "--store", tmp_path)
    assert not list(tmp_path.iterdir())
