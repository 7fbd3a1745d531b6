"""What single primitives see: the graph, against the derivative of each output by each input.

Of those that take several arguments each is given the input in turn. In the first table no function
has a derivative that is 0 by chance, so that a cell is seen exactly if its derivative is not 0.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from tests.seen_cells import followed, in_graph, interval
from theory import audit
from theory.auditing import dependence

SEEDED = torch.Generator().manual_seed(0)


def _numbers(*shape: int) -> Tensor:
    return torch.rand(shape, generator=SEEDED, dtype=torch.float64) + 0.5


A, B, U, V, W = _numbers(4, 3), _numbers(3, 5), _numbers(4), _numbers(3), _numbers(4, 5)
MEAN, VARIANCE = _numbers(3), _numbers(3)
SPECTRUM, MAP, PLACES, WINDOW = (
    _numbers(3, 1),
    _numbers(1, 2, 4, 3),
    _numbers(1, 5, 6, 2),
    _numbers(5),
)

TENSOR = _numbers(5, 2, 3)
MASK, ORDER = torch.tensor([True, False, True, True]), torch.tensor([[3, 0], [1, 1]])

EXACT: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "mm, left": (lambda x: torch.mm(x, B), (4, 3)),
    "mm, right": (lambda x: torch.mm(A, x), (3, 5)),
    "mv, left": (lambda x: torch.mv(x, V), (4, 3)),
    "mv, right": (lambda x: torch.mv(A, x), (3,)),
    "mv, softmax of it": (lambda x: torch.mv(A, x).softmax(0), (3,)),
    "dot": (lambda x: torch.dot(x, V), (3,)),
    "vdot": (lambda x: torch.vdot(V, x), (3,)),
    "inner": (lambda x: torch.inner(x, V), (3,)),
    "inner with a number": (lambda x: torch.inner(x, torch.tensor(2.0).double()), (3,)),
    "addmv, added": (lambda x: torch.addmv(x, A, V), (4,)),
    "addmv, left": (lambda x: torch.addmv(U, x, V), (4, 3)),
    "addmv, left, and on": (lambda x: torch.addmv(U, x, V)[None].cumsum(1), (4, 3)),
    "addmv, right": (lambda x: torch.addmv(U, A, x), (3,)),
    "addmm, added": (lambda x: torch.addmm(x, A, B), (4, 5)),
    "addmm, added to all rows": (lambda x: torch.addmm(x, A, B), (5,)),
    "addmm, added and left": (lambda x: torch.addmm(x, x, B @ B.T), (4, 3)),
    "baddbmm, added": (lambda x: torch.baddbmm(x, A[None], B[None]), (1, 4, 5)),
    "baddbmm, right": (lambda x: torch.baddbmm(W[None], A[None], x), (1, 3, 5)),
    "addbmm, added": (lambda x: torch.addbmm(x, A[None], B[None]), (4, 5)),
    "addbmm, left": (lambda x: torch.addbmm(W, x, B.repeat(2, 1, 1)), (2, 4, 3)),
    "addbmm, right, and on": (
        lambda x: torch.addbmm(W, A.repeat(2, 1, 1), x).cumsum(1),
        (2, 3, 5),
    ),
    "bilinear, left": (lambda x: functional.bilinear(x, A, TENSOR), (4, 2)),
    "bilinear, weight": (lambda x: functional.bilinear(A, A, x), (2, 3, 3)),
    "bilinear, both": (lambda x: functional.bilinear(x.cumsum(0), x[:, :2], TENSOR.mT), (4, 3)),
    "take": (lambda x: x.cumsum(1).take(ORDER * 2), (4, 3)),
    "take, in another order": (lambda x: x.mT.take(ORDER.T.flip(0)), (4, 3)),
    "take of a row": (lambda x: x.take(ORDER), (1, 4)),
    "squeeze of one cell": (lambda x: x.squeeze(), (1, 1)),
    "squeeze of one of five": (lambda x: x.squeeze(), (5, 1)),
    "tril": (lambda x: x.tril(), (4, 3)),
    "triu": (lambda x: x.triu(1), (4, 3)),
    "diag_embed": (lambda x: torch.diag_embed(x), (2, 3)),
    "unfold": (lambda x: functional.unfold(x[None], 2), (2, 4, 3)),
    "unfold, padded and strided": (
        lambda x: functional.unfold(x[None], (3, 2), dilation=(1, 2), padding=1, stride=2),
        (2, 4, 5),
    ),
    "fold": (lambda x: functional.fold(x, (3, 4), 2), (8, 6)),
    "fold, padded and strided": (
        lambda x: functional.fold(x, (4, 5), (3, 2), dilation=(1, 2), padding=1, stride=2),
        (12, 6),
    ),
    "unfold, weighed and folded": (
        lambda x: functional.fold(
            functional.unfold(x[None], 3, padding=1) * 2, (4, 3), 3, padding=1
        ),
        (2, 4, 3),
    ),
    "rfft": (lambda x: torch.view_as_real(torch.fft.rfft(x, dim=0))[1:, :, 0], (5, 3)),
    "spectral layer": (
        lambda x: torch.fft.irfft(torch.fft.rfft(x, dim=0) * SPECTRUM, n=4, dim=0),
        (4, 3),
    ),
    "sampled at a grid": (
        lambda x: functional.grid_sample(
            MAP, x.tanh()[None, :, :, None] * U[:2], align_corners=True
        ),
        (4, 3),
    ),
    "conjugate": (lambda x: torch.complex(x, 2 * x).cumsum(0).conj().imag, (4, 3)),
    "losses": (lambda x: functional.mse_loss(x, x.cumsum(0) ** 2, reduction="none"), (4, 3)),
    "mean loss": (lambda x: functional.huber_loss(x, 9 * A), (4, 3)),
    "distances": (lambda x: torch.cdist(x, A), (5, 3)),
    "distances, right": (lambda x: torch.cdist(A, x), (5, 3)),
    "distances, left, of a batch": (lambda x: torch.cdist(x, A[:2]), (2, 5, 3)),
    "distances, right, of a batch": (lambda x: torch.cdist(A.repeat(2, 1, 1), x), (5, 3)),
    "rows in another order": (lambda x: x.cumsum(1)[torch.tensor([3, 0, 1])], (4, 3)),
    "cells in another order": (lambda x: x[torch.tensor([[3, 0]]), torch.tensor([2, 1])], (4, 3)),
    "index_select": (lambda x: x.index_select(-1, torch.tensor([2, 0])), (4, 3)),
    "rows of a mask": (lambda x: x.cumsum(1)[MASK], (4, 3)),
    "columns of the other mask": (lambda x: x.cumsum(0)[:, ~MASK[1:], None], (4, 3)),
    "cells of a mask": (lambda x: x[torch.eye(4, 3).bool()], (4, 3)),
    "cells of a mask that is repeated": (lambda x: x.masked_select(MASK[:, None]), (4, 3)),
    "cells of a mask, where the other is repeated": (lambda x: x.masked_select(MASK), (3, 1)),
    "rows as often as is said": (lambda x: x.repeat_interleave(torch.arange(4), 0), (4, 3)),
    "rows of a part of an order": (lambda x: x.index_select(0, ORDER.T[0]), (4, 3)),
    "gather by an order that is repeated": (
        lambda x: x.gather(0, ORDER[:, :1].expand(-1, 3).flip(0)),
        (4, 3),
    ),
    "columns, in an order that was computed": (
        lambda x: x.sum(1, keepdim=True).cumsum(0).expand(-1, 3)[:, V.argsort()],
        (4, 3),
    ),
    "gather": (lambda x: x.gather(0, torch.tensor([[3, 1], [0, 0]])), (4, 3)),
    "gather, repeated": (lambda x: x.gather(1, torch.tensor([[2, 1, 0]] * 4)), (4, 3)),
    "as_strided": (lambda x: x.as_strided((3, 2), (2, 1), 1), (8,)),
    "frames, windowed and transformed": (
        lambda x: torch.stft(
            x, 5, hop_length=2, window=WINDOW, center=False, return_complex=True
        ).abs(),
        (9,),
    ),
    "frames, by a shorter window": (
        lambda x: torch.stft(
            x, 8, hop_length=2, win_length=5, window=WINDOW, center=False, return_complex=True
        ).abs(),
        (13,),
    ),
    "multiplied by a padded constant": (
        lambda x: x.cumsum(0) * functional.pad(V[1:], (1, 0)),
        (4, 3),
    ),
    "multiplied by what is padded with ones": (
        lambda x: x * functional.pad(V[1:], (1, 0), value=1.0),
        (4, 3),
    ),
    "multiplied by a padded constant, and more": (
        lambda x: x * (functional.pad(V[1:], (1, 0)) + 1),
        (4, 3),
    ),
    "cumsum": (lambda x: x.cumsum(0), (4, 3)),
    "cumprod of one row": (lambda x: x.cumprod(-1), (3,)),
    "logcumsumexp": (lambda x: x.logcumsumexp(1), (4, 3)),
    "cumsum of what sees all": (lambda x: (x * x.sum(0)).cumsum(0), (4,)),
}

COVERED: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "scale of a layer norm": (lambda x: functional.layer_norm(A, (3,), x, V), (3,)),
    "offset of a layer norm": (lambda x: functional.layer_norm(A, (3,), V, x), (3,)),
    "scale of a group norm": (
        lambda x: functional.group_norm(A.reshape(1, 3, 4), 3, x.mean(1), V),
        (3, 2),
    ),
    "scale of a batch norm": (
        lambda x: functional.batch_norm(A, None, None, x.mean(1), V, training=True),
        (3, 2),
    ),
    "scale of a frozen batch norm": (
        lambda x: functional.batch_norm(A.reshape(4, 3, 1), MEAN, VARIANCE, x.mean(1), V),
        (3, 2),
    ),
    "scale of an RMS norm": (lambda x: functional.rms_norm(A, (3,), x), (3,)),
    "the largest two": (lambda x: x.topk(2, dim=0)[0], (4, 3)),
    "the second": (lambda x: x.kthvalue(2, dim=0)[0], (4, 3)),
    "gather, where the input says": (lambda x: (2 * x).gather(0, x.argsort(0)), (4, 3)),
    "sampled at places of its own": (
        lambda x: functional.grid_sample(
            x[None], x.tanh().movedim(0, -1)[None], align_corners=False, padding_mode="border"
        ),
        (2, 4, 3),
    ),
    "largest so far": (lambda x: x.cummax(0)[0], (4, 3)),
    "smallest so far, of sums": (lambda x: x.cumsum(1).cummin(0).values, (4, 3)),
    "what stands where the largest so far does": (lambda x: x.gather(0, x.cummax(0)[1]), (4, 3)),
    "mean of a layer norm": (
        lambda x: torch.native_layer_norm(x, (3,), None, None, 1e-5)[1][:, 0],
        (4, 3),
    ),
}


Interval = tuple[int, int] | None


def _seen(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...], axis: int
) -> tuple[list[Interval], list[Interval] | None]:
    """Return what each output cell sees along an axis of the input: measured, and in the graph.

    The second is None where the graph has a primitive without a rule.
    """
    derivative = torch.autograd.functional.jacobian(function, _numbers(*shape))
    outputs = tuple(derivative.shape[: derivative.ndim - len(shape)])
    sees = derivative.reshape(-1, *shape) != 0
    others = [d + 1 for d in range(len(shape)) if d != axis]
    measured = [interval(each) for each in (sees.amax(others) if others else sees)]
    seen = followed(function, shape, axis)
    if not isinstance(seen, dependence.Dependence):
        return measured, None
    assert seen.reach.ndim == len(outputs) + 1
    return measured, in_graph(seen.reach, outputs)


@pytest.mark.parametrize(
    ("name", "axis"),
    [(name, axis) for name, (_, shape) in EXACT.items() for axis in range(len(shape))],
)
def test_a_primitive_sees_what_its_derivative_does_not_vanish_on(name: str, axis: int) -> None:
    measured, graph = _seen(*EXACT[name], axis)
    assert graph == measured


@pytest.mark.parametrize("name", COVERED)
def test_a_primitive_sees_all_that_it_may_depend_on(name: str) -> None:
    """Which cells it does depend on is decided by values, or is not kept apart."""
    function, shape = COVERED[name]
    measured, graph = _seen(function, shape, 0)
    assert graph is not None
    for seen, bounds in zip(measured, graph, strict=True):
        assert seen is None or (bounds is not None and bounds[0] <= seen[0] <= seen[1] <= bounds[1])


def test_an_index_may_be_a_buffer_but_not_one_that_is_written_into() -> None:
    def ordered(x: Tensor, layer: nn.Module) -> Tensor:
        return x[..., layer.order]

    def reordered(x: Tensor, layer: nn.Module) -> Tensor:
        layer.order.mul_(2).remainder_(3)
        return x[..., layer.order]

    layer = nn.Identity()
    layer.register_buffer("order", torch.tensor([0, 2, 1, 3]))
    pair = nn.Conv1d(1, 1, 2)
    assert audit(nn.Sequential(Fn(ordered, layer), pair), (1, 4)).receptive_field == (3,)
    assert audit(nn.Sequential(Fn(reordered, layer), pair), (1, 4)).receptive_field == (None,)


def test_cells_of_patches_in_a_padding_lie_beyond_the_edge() -> None:
    def patches(x: Tensor) -> Tensor:
        return functional.unfold(x[None], (1, 3), padding=(0, 1))

    seen = followed(patches, (1, 1, 4), 2)
    assert isinstance(seen, dependence.Dependence)
    assert seen.reach[2, 0].tolist() == [[-1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, -1]]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[..., torch.tensor([4])],
        lambda x: x.index_select(-1, torch.tensor([-1])),
        lambda x: x.gather(-1, torch.tensor([[[4]]])),
    ],
)
def test_an_index_that_no_cell_has_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match=r"at the index that it is given.*out of"):
        audit(Fn(function), (1, 4))


UNKNOWN: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "deviations of groups": (
        lambda x: torch.native_group_norm(x, None, None, 1, 4, 6, 2, 1e-5)[1],
        (1, 4, 6),
    ),
    "an order that was computed": (lambda x: x[U.argsort()], (4, 3)),
    "sampled at fixed places": (
        lambda x: functional.grid_sample(x[None], PLACES - 1, align_corners=False),
        (2, 4, 3),
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_no_rule_covers_is_unknown_and_not_guessed(name: str) -> None:
    assert _seen(*UNKNOWN[name], 0)[1] is None


def test_a_triangle_keeps_the_law_of_what_it_keeps_and_a_diagonal_has_none() -> None:
    pair = nn.Conv2d(1, 1, 2, stride=2)
    (_, triangle) = audit(nn.Sequential(pair, Fn(torch.tril)), (1, 8, 8)).rows
    assert (triangle.receptive_field, triangle.jump, triangle.start) == ((2, 2), (2, 2), (0, 0))
    (diagonal,) = audit(Fn(torch.diag_embed), (1, 8)).rows
    assert (diagonal.receptive_field, diagonal.jump, diagonal.start) == ((1,), (None,), (None,))


def test_the_law_of_frames_is_that_of_what_the_window_does_not_pad_with_zeros() -> None:
    layer = nn.Identity()
    layer.register_buffer("window", torch.hann_window(5))

    def spectrum(x: Tensor, layer: nn.Module) -> Tensor:
        return torch.stft(x, 8, 2, 5, layer.window, center=False, return_complex=True).abs()

    row = audit(Fn(spectrum, layer), (20,)).rows[0]
    assert (row.receptive_field, row.jump, row.start, row.border) == ((5,), (2,), (1,), ((0, 0),))
