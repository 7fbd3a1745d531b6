"""By how much rounding may set apart the mean losses of two runs that compute the same."""

from __future__ import annotations

import math

import torch
from torch import nn

from benches.workload import engine_network


def tolerance(network: str, factors: float = 0.0) -> float:
    """Return by how much, relatively, rounding may set two mean losses apart.

    Rounding errors that behave as independent ones grow with the square root of their number
    (Higham and Mary, SIAM J. Sci. Comput. 41, 2019; the guaranteed bound, their number itself times
    the sums of absolute values, would let a wrong network pass). A score goes through as many
    products in float32 as its layers have inputs. Where the hardware rounds factors to a shorter
    format, each layer adds three such roundings: input, weight, output. Both losses may err.

    Parameters
    ----------
    network
        One of `benches.workload.NETWORKS`.
    factors
        Unit roundoff of the shorter format that factors are rounded to; 0 where there is none.
    """
    layers = [m for m in engine_network(network).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    products = sum(layer.weight[0].numel() for layer in layers)
    relative = math.sqrt(products) * torch.finfo(torch.float32).eps / 2
    return 2 * (relative + math.sqrt(3 * len(layers)) * factors)
