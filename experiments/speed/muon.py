"""Muon: momentum whose step is the orthogonal matrix nearest to it, for the filters of a network.

The gradient of a matrix of weights is close to low rank: a few directions take nearly all of a step
of SGD. Orthogonalised, all directions move alike, and far fewer steps are needed. What is left
over, biases and the last layer, is no matter of directions and stays with SGD.

Sources: Jordan and others, "Muon: an optimizer for hidden layers in neural networks" (2024), for
the rule and its polynomial; Björck and Bowie, SIAM J. Numer. Anal. 8 (1971), for the iteration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jaxtyping import Float
    from torch import Tensor, nn

POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of ``p(s) = a s + b s³ + c s⁵``. The slope a lifts small singular values
quickly; in exchange they do not settle at 1, but move about between 0.68 and 1.21."""

STEPS = 3
"""Applications of the polynomial: three lift everything from 0.02 on into that interval."""


def orthogonalised(
    matrices: Sequence[Float[Tensor, "_ _"]], steps: int = STEPS
) -> list[Float[Tensor, "_ _"]]:
    """Return nearly the orthogonal factor of each matrix's polar decomposition.

    Singular vectors are kept. A singular value s becomes ``p(p(…p(s / ‖matrix‖)))``, with the
    Frobenius norm, so that the argument lies in [0, 1], and p of `POLYNOMIAL`.

    All factors are polynomials of one Gram matrix and commute, so the iteration runs on the Gram
    matrix of the shorter side, and the long side is multiplied once, at the end. Gram matrices are
    small: in one stack, with zeros around the smaller ones, they cost as many calls as one.

    Parameters
    ----------
    matrices
        Any real matrices of one type; zero stays zero.
    steps
        Applications of the polynomial.
    """
    wide = [m.mT if m.shape[0] > m.shape[1] else m for m in matrices]
    wide = [m / m.norm().clamp_min(torch.finfo(m.dtype).tiny) for m in wide]
    side = max(len(m) for m in wide)
    gram = wide[0].new_zeros(len(wide), side, side)
    for block, m in zip(gram, wide, strict=True):
        torch.mm(m, m.mT, out=block[: len(m), : len(m)])
    a, b, c = POLYNOMIAL
    identity = torch.eye(side, dtype=gram.dtype, device=gram.device)
    whole = identity.expand_as(gram)
    for _ in range(steps):
        # a I + b G + c G G; what it does to the zeros around a smaller matrix meets nothing else
        factor = torch.baddbmm(a * identity + b * gram, gram, gram, alpha=c)
        gram = factor @ gram @ factor
        whole = factor @ whole
    turned = [block[: len(m), : len(m)] @ m for block, m in zip(whole, wide, strict=True)]
    return [t.mT if m.shape[0] > m.shape[1] else t for t, m in zip(turned, matrices, strict=True)]


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum for filters whose size does not matter.

    Each filter bank, seen as a matrix with a row a filter, moves by ``lr`` times an orthogonal
    matrix and is then scaled back to the Frobenius norm ``sqrt(filters)``. Batch normalisation
    behind a convolution makes the size of its weights irrelevant; held fixed, it keeps ``lr`` what
    it says: by which part of itself the bank turns in a step.

    Parameters
    ----------
    banks
        Weights of convolutions, of shape ``(filters, channels, height, width)``. They are scaled
        at once.
    lr
        Size of a step, relative to the bank.
    momentum
        Share of the past gradients that is carried on.
    """

    def __init__(self, banks: Iterable[nn.Parameter], lr: float, momentum: float) -> None:
        super().__init__(banks, {"lr": lr, "momentum": momentum})
        with torch.no_grad():
            for bank in self._banks():
                _scale(bank)

    def _banks(self) -> list[nn.Parameter]:
        return [bank for group in self.param_groups for bank in group["params"]]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every bank that has a gradient."""
        for group in self.param_groups:
            banks = [bank for bank in group["params"] if bank.grad is not None]
            if not banks:
                continue
            directions = [self._direction(bank, group["momentum"]) for bank in banks]
            # Channels last, as the banks lie in memory: the order of the columns of a matrix is
            # that of its orthogonal factor's, whichever it is.
            rows = [direction.permute(0, 2, 3, 1) for direction in directions]
            turned = orthogonalised([each.flatten(1) for each in rows])
            for bank, row, turn in zip(banks, rows, turned, strict=True):
                bank.add_(turn.view(row.shape).permute(0, 3, 1, 2), alpha=-group["lr"])
                _scale(bank)

    def _direction(self, bank: nn.Parameter, momentum: float) -> Tensor:
        """Return the gradient and the momentum, by Nesterov, after the momentum was updated."""
        assert bank.grad is not None  # for the type checker: `step` asked
        state = self.state[bank]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(bank)
        velocity = state["momentum"].mul_(momentum).add_(bank.grad)
        return bank.grad.add(velocity, alpha=momentum)


def _scale(bank: Tensor) -> None:
    bank.mul_(len(bank) ** 0.5 / bank.norm())
