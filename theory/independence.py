"""How many parameters of a module are independent: along how many directions its outputs change."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from sympy import QQ
from sympy.polys.matrices import DomainMatrix
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from theory.tensors import require_values


def independent_parameters(module: nn.Module, x: Float64[Tensor, "*shape"]) -> int:
    """Count the directions in parameter space along which the outputs change.

    Read the other way, with a target for each output: how many of the equations that some examples
    set the parameters are independent, to first order.

    Parameters
    ----------
    module : torch.nn.Module
        A module in double precision that returns a tensor; shared parameters count once. What it
        raises itself, because the examples do not suit it, passes.
    x : tensor
        The examples, in the shape that the module takes.

    Returns
    -------
    int
        The rank of the Jacobian of all outputs by all parameters, computed over the rationals from
        its entries: exact where the derivatives are (integer inputs and parameters; no division).

    Raises
    ------
    TypeError
        If parameters or examples are floats of less precision, which would hide what depends on
        what; or the examples are, or the module returns, something else than a tensor.
    ValueError
        If a parameter has no values to read, or a derivative is not finite.
    """
    for name, each in module.named_parameters():
        require_values(module, name, each)
        _require_double(name, each)
    if not isinstance(x, Tensor):
        raise TypeError(f"x is a {type(x).__name__}, expected a tensor: use torch.tensor")
    if x.is_floating_point():
        _require_double("x", x)
    parameters = {name: each.detach() for name, each in module.named_parameters()}
    if not parameters:
        return 0

    def outputs(values: dict[str, Tensor]) -> Tensor:
        y = functional_call(module, values, (x,))
        if not isinstance(y, Tensor):
            raise TypeError(
                f"{type(module).__name__} returns a {type(y).__name__}, expected a tensor"
            )
        return y.flatten()

    rows = torch.cat([each.flatten(1) for each in jacrev(outputs)(parameters).values()], 1)
    if not rows.isfinite().all():
        raise ValueError(
            f"derivatives of {type(module).__name__} are not all finite: give parameters and "
            "examples at which they are"
        )
    entries = [[QQ(*value.as_integer_ratio()) for value in row] for row in rows.tolist()]
    return int(DomainMatrix(entries, tuple(rows.shape), QQ).rank())


def _require_double(name: str, tensor: Tensor) -> None:
    if tensor.dtype != torch.float64:
        raise TypeError(f"{name} is {tensor.dtype}, expected torch.float64: use double()")
