"""Every primitive that a table calls linear, bilinear or constant is that, on an example of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from theory.diagnosis import primitives
from theory.diagnosis.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Callable

aten = torch.ops.aten

_AT = torch.tensor([2, 0, 1, 3])
_MASK = torch.tensor([True, False, True, False])
_SQUARE = [4, 4]

Examples = dict[str, tuple[tuple[int, ...], "Callable[..., Any]"]]
"""The shape of each array, and what is called with them."""


def _complex(x: torch.Tensor) -> torch.Tensor:
    return torch.complex(x[0], x[1])


def _on(shape: tuple[int, ...], **calls: Callable[..., Any]) -> Examples:
    return {name: (shape, call) for name, call in calls.items()}


LINEAR: Examples = {
    **_on(
        (4,),
        alias=aten.alias,
        as_strided=lambda x: aten.as_strided(x, [2, 2], [1, 1]),
        clone=aten.clone,
        contiguous=aten.contiguous,
        cumsum=lambda x: aten.cumsum(x, 0),
        detach=aten.detach,
        diag_embed=aten.diag_embed,
        expand=lambda x: aten.expand(x, [3, 4]),
        flip=lambda x: aten.flip(x, [0]),
        gather=lambda x: aten.gather(x, 0, _AT),
        index=lambda x: aten.index(x, [_MASK]),
        index_select=lambda x: aten.index_select(x, 0, _AT),
        lift_fresh_copy=aten.lift_fresh_copy,
        mean=aten.mean,
        narrow=lambda x: aten.narrow(x, 0, 1, 2),
        neg=aten.neg,
        negative=aten.negative,
        repeat=lambda x: aten.repeat(x, [2]),
        reshape=lambda x: aten.reshape(x, [2, 2]),
        resolve_conj=aten.resolve_conj,
        resolve_neg=aten.resolve_neg,
        roll=lambda x: aten.roll(x, [1], [0]),
        select=lambda x: aten.select(x, 0, 1),
        slice=lambda x: aten.slice(x, 0, 1, 4, 2),
        split=lambda x: aten.split(x, 2),
        split_with_sizes=lambda x: aten.split_with_sizes(x, [1, 3]),
        sum=aten.sum,
        take=lambda x: aten.take(x, _AT),
        unfold=lambda x: aten.unfold(x, 0, 2, 1),
        unsafe_split=lambda x: aten.unsafe_split(x, 2),
        unsqueeze=lambda x: aten.unsqueeze(x, 0),
        view=lambda x: aten.view(x, [2, 2]),
        _neg_view=aten._neg_view,
        _reshape_alias=lambda x: aten._reshape_alias(x, [2, 2], [2, 1]),
        _unsafe_view=lambda x: aten._unsafe_view(x, [2, 2]),
        _fft_r2c=lambda x: aten._fft_r2c(x, [0], 0, True),
    ),
    **_on(
        (4, 4),
        diagonal=aten.diagonal,
        embedding=lambda x: aten.embedding(x, _AT),
        movedim=lambda x: aten.movedim(x, [0], [1]),
        permute=lambda x: aten.permute(x, [1, 0]),
        rot90=aten.rot90,
        squeeze=aten.squeeze,
        t=aten.t,
        trace=aten.trace,
        transpose=lambda x: aten.transpose(x, 0, 1),
        tril=aten.tril,
        triu=aten.triu,
        unbind=aten.unbind,
    ),
    **_on(
        (2, 4),
        _conj=lambda x: aten._conj(_complex(x)),
        _conj_physical=lambda x: aten._conj_physical(_complex(x)),
        _fft_c2c=lambda x: aten._fft_c2c(_complex(x), [0], 0, True),
        _fft_c2r=lambda x: aten._fft_c2r(_complex(x)[:3], [0], 0, 4),
        imag=lambda x: aten.imag(_complex(x)),
        real=lambda x: aten.real(_complex(x)),
        view_as_complex=lambda x: aten.view_as_complex(x.reshape(4, 2)),
        view_as_real=lambda x: aten.view_as_real(_complex(x)),
    ),
    **_on(
        (1, 1, 4),
        adaptive_avg_pool1d=lambda x: aten.adaptive_avg_pool1d(x, [2]),
        avg_pool1d=lambda x: aten.avg_pool1d(x, [2]),
        reflection_pad1d=lambda x: aten.reflection_pad1d(x, [1, 2]),
        replication_pad1d=lambda x: aten.replication_pad1d(x, [1, 2]),
        upsample_linear1d=lambda x: aten.upsample_linear1d(x, [8], False),
        upsample_nearest1d=lambda x: aten.upsample_nearest1d(x, [8]),
        _upsample_nearest_exact1d=lambda x: aten._upsample_nearest_exact1d(x, [8]),
    ),
    **_on(
        (1, 4, 4, 4),
        _adaptive_avg_pool2d=lambda x: aten._adaptive_avg_pool2d(x, [2, 2]),
        avg_pool2d=lambda x: aten.avg_pool2d(x, [2, 2]),
        channel_shuffle=lambda x: aten.channel_shuffle(x, 2),
        im2col=lambda x: aten.im2col(x, [2, 2], [1, 1], [0, 0], [1, 1]),
        pixel_shuffle=lambda x: aten.pixel_shuffle(x, 2),
        pixel_unshuffle=lambda x: aten.pixel_unshuffle(x, 2),
        reflection_pad2d=lambda x: aten.reflection_pad2d(x, [1, 1, 2, 2]),
        replication_pad2d=lambda x: aten.replication_pad2d(x, [1, 1, 2, 2]),
        upsample_bicubic2d=lambda x: aten.upsample_bicubic2d(x, [8, 8], False),
        upsample_bilinear2d=lambda x: aten.upsample_bilinear2d(x, [8, 8], False),
        upsample_nearest2d=lambda x: aten.upsample_nearest2d(x, [8, 8]),
        _upsample_bicubic2d_aa=lambda x: aten._upsample_bicubic2d_aa(x, [8, 8], False),
        _upsample_bilinear2d_aa=lambda x: aten._upsample_bilinear2d_aa(x, [8, 8], False),
        _upsample_nearest_exact2d=lambda x: aten._upsample_nearest_exact2d(x, [8, 8]),
    ),
    **_on((1, 4, 9), col2im=lambda x: aten.col2im(x, _SQUARE, [2, 2], [1, 1], [0, 0], [1, 1])),
    **_on(
        (1, 1, 4, 4, 4),
        _adaptive_avg_pool3d=lambda x: aten._adaptive_avg_pool3d(x, [2, 2, 2]),
        avg_pool3d=lambda x: aten.avg_pool3d(x, [2, 2, 2]),
        reflection_pad3d=lambda x: aten.reflection_pad3d(x, [1] * 6),
        replication_pad3d=lambda x: aten.replication_pad3d(x, [1] * 6),
        upsample_nearest3d=lambda x: aten.upsample_nearest3d(x, [8, 8, 8]),
        upsample_trilinear3d=lambda x: aten.upsample_trilinear3d(x, [8, 8, 8], False),
        _upsample_nearest_exact3d=lambda x: aten._upsample_nearest_exact3d(x, [8, 8, 8]),
    ),
}

COMBINATIONS: Examples = {
    **_on(
        (4,),
        add=lambda x, y: aten.add(x, y, alpha=3),
        cat=lambda x, y: aten.cat([x, y]),
        complex=aten.complex,
        copy=aten.copy,
        fill=lambda x, y: aten.fill(x, y[0]),
        hstack=lambda x, y: aten.hstack([x, y]),
        index_add=lambda x, y: aten.index_add(x, 0, _AT, y, alpha=3),
        index_copy=lambda x, y: aten.index_copy(x, 0, _AT[:2], y[:2]),
        index_fill=lambda x, y: aten.index_fill(x, 0, _AT[:2], y[0]),
        index_put=lambda x, y: aten.index_put(x, [_AT[:2]], y[:2], True),
        put=lambda x, y: aten.put(x, _AT[:2], y[:2], True),
        rsub=lambda x, y: aten.rsub(x, y, alpha=3),
        scatter=lambda x, y: aten.scatter(x, 0, _AT[:2], y),
        scatter_add=lambda x, y: aten.scatter_add(x, 0, _AT[:2], y),
        select_scatter=lambda x, y: aten.select_scatter(x, y[0], 0, 1),
        slice_scatter=lambda x, y: aten.slice_scatter(x, y[:2], 0, 1, 3),
        stack=lambda x, y: aten.stack([x, y]),
        sub=lambda x, y: aten.sub(x, y, alpha=3),
        vstack=lambda x, y: aten.vstack([x, y]),
    ),
    **_on((4, 4), diagonal_scatter=lambda x, y: aten.diagonal_scatter(x, y[0])),
}

PRODUCTS: Examples = {
    **_on((4,), dot=aten.dot, mul=aten.mul, multiply=aten.multiply, outer=aten.outer),
    **_on((4,), vdot=aten.vdot),
    **_on((4, 4), matmul=aten.matmul, mm=aten.mm, mv=lambda x, y: aten.mv(x, y[0])),
    **_on((2, 4, 4), bmm=aten.bmm),
}

PRODUCTS_AND_SUMS: Examples = {
    **_on((4, 4), addcmul=lambda z, x, y: aten.addcmul(z, x, y, value=3)),
    **_on((4, 4), addmm=lambda z, x, y: aten.addmm(z, x, y, alpha=3, beta=2)),
    **_on((4, 4), addmv=lambda z, x, y: aten.addmv(z[0], x, y[0], alpha=3, beta=2)),
    **_on((4, 4, 4), addbmm=lambda z, x, y: aten.addbmm(z[0], x, y, alpha=3, beta=2)),
    **_on((4, 4, 4), baddbmm=lambda z, x, y: aten.baddbmm(z, x, y, alpha=3, beta=2)),
}


def _inputs(shape: tuple[int, ...], number: int, seed: int = 0) -> list[torch.Tensor]:
    """Return small multiples of a quarter, of which sums, products and halves are exact."""
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.randint(-9, 10, shape, generator=generator) for _ in range(number))
    return [each.double() / 4 for each in draws]


def _numbers(output: Any) -> torch.Tensor:
    """Return all that was returned in one array of real numbers."""
    several = output if isinstance(output, list | tuple) else [output]
    real = (torch.view_as_real(y.resolve_conj()) if y.is_complex() else y for y in several)
    return torch.cat([y.reshape(-1) for y in real])


def _is_linear(
    f: Callable[..., Any], shape: tuple[int, ...], number: int = 1, rounding: float = 0.0
) -> bool:
    xs, ys = _inputs(shape, number, 0), _inputs(shape, number, 1)
    mixed = _numbers(f(*(3 * x - 2 * y for x, y in zip(xs, ys, strict=True))))
    expected = 3 * _numbers(f(*xs)) - 2 * _numbers(f(*ys))
    assert expected.any(), "the example shows nothing"
    return bool((mixed - expected).abs().max() <= rounding)


_ROUNDED = {"_upsample_bicubic2d_aa": gamma(64, 2.0**-53) * 2 * 90 / 4}
"""Three sums of 4 x 4 products, of weights that are computed and together below 2 in magnitude,
with numbers up to 45 quarters."""


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_what_is_called_linear_in_its_first_argument_is(name: str) -> None:
    shape, f = LINEAR[name]
    assert _is_linear(f, shape, rounding=_ROUNDED.get(name, 0.0))


@pytest.mark.parametrize("name", sorted(COMBINATIONS))
def test_what_is_called_a_combination_is_linear_in_all_arrays_together(name: str) -> None:
    shape, f = COMBINATIONS[name]
    assert _is_linear(f, shape, 2)


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_what_is_called_a_product_is_linear_in_either_factor(name: str) -> None:
    shape, f = PRODUCTS[name]
    (factor,) = _inputs(shape, 1, 2)
    assert _is_linear(lambda x: f(x, factor), shape)
    assert _is_linear(lambda x: f(factor, x), shape)


@pytest.mark.parametrize("name", sorted(PRODUCTS_AND_SUMS))
def test_what_is_called_a_product_and_a_sum_is_that(name: str) -> None:
    shape, f = PRODUCTS_AND_SUMS[name]
    (factor,) = _inputs(shape, 1, 2)
    assert _is_linear(lambda z, x: f(z, x, factor), shape, 2)
    assert _is_linear(lambda z, x: f(z, factor, x), shape, 2)


@pytest.mark.parametrize("factor", range(3))
def test_a_trilinear_form_is_linear_in_each_of_three_factors(factor: int) -> None:
    factors = _inputs((4, 4, 4), 3, 2)

    def form(x: torch.Tensor) -> torch.Tensor:
        given = [x if each == factor else factors[each] for each in range(3)]
        return aten._trilinear(*given, [3], [0], [1], [2])

    assert _is_linear(form, (4, 4, 4))


_FROM_A_TENSOR = {
    "empty_like": aten.empty_like,
    "full_like": lambda x: aten.full_like(x, 3),
    "new_empty": lambda x: aten.new_empty(x, [3]),
    "new_empty_strided": lambda x: aten.new_empty_strided(x, [3], [1]),
    "new_full": lambda x: aten.new_full(x, [3], 3),
    "new_ones": lambda x: aten.new_ones(x, [3]),
    "new_zeros": lambda x: aten.new_zeros(x, [3]),
    "ones_like": aten.ones_like,
    "zeros_like": aten.zeros_like,
}
_FROM_NUMBERS = {
    "arange": lambda: aten.arange(3),
    "empty": lambda: aten.empty([3]),
    "empty_permuted": lambda: aten.empty_permuted([3], [0]),
    "empty_strided": lambda: aten.empty_strided([3], [1]),
    "eye": lambda: aten.eye(3),
    "full": lambda: aten.full([3], 3),
    "ones": lambda: aten.ones([3]),
    "scalar_tensor": lambda: aten.scalar_tensor(3),
    "zeros": lambda: aten.zeros([3]),
}


@pytest.mark.parametrize("name", sorted(primitives.CONSTANT))
def test_what_is_called_constant_depends_on_no_values_and_zero_is_zero(name: str) -> None:
    if name in _FROM_NUMBERS:
        found = [_FROM_NUMBERS[name]()]
    else:
        found = [_FROM_A_TENSOR[name](x) for x in _inputs((4,), 2)]
    if "empty" in name:  # holds whatever was there: `theory.diagnosis.values` zeroes it
        assert name in primitives.ZERO
    else:
        assert torch.equal(found[0], found[-1])
        assert bool(found[0].any()) is (name not in primitives.ZERO)


def test_the_tables_hold_nothing_without_an_example_and_nothing_twice() -> None:
    assert LINEAR.keys() == primitives.LINEAR_IN_FIRST
    assert COMBINATIONS.keys() == primitives.AFFINE_COMBINATION
    assert PRODUCTS.keys() == primitives.PRODUCT
    assert PRODUCTS_AND_SUMS.keys() == primitives.PRODUCT_AND_SUM
    tables = [
        *(primitives.LINEAR_IN_FIRST, primitives.AFFINE_COMBINATION, primitives.PRODUCT),
        *(primitives.PRODUCT_AND_SUM, primitives.CONSTANT, primitives.NONLINEAR),
        primitives.OWN_RULE,
    ]
    assert sum(map(len, tables)) == len(primitives.KNOWN) == len(frozenset().union(*tables))
    assert all(hasattr(aten, name) for name in primitives.KNOWN)
    assert primitives.INTEGER_DIVISION | primitives.POINTWISE <= primitives.KNOWN


@pytest.mark.parametrize("name", sorted(primitives.POINTWISE))
def test_what_is_called_pointwise_acts_on_each_cell_alone(name: str) -> None:
    f = {"_to_copy": lambda x: aten._to_copy(x, dtype=torch.float32)}.get(name, getattr(aten, name))
    (x,) = _inputs((4,), 1)
    together = _numbers(f(x))[: x.numel()]
    assert torch.equal(together, torch.cat([_numbers(f(each))[:1] for each in x.split(1)]))
