"""What a run changes in the tensors that it starts from: their values are then not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from theory.auditing.calls import named_tensors
from theory.auditing.constants import lends_memory
from theory.diagnosis.functional_state import inner
from theory.diagnosis.memory import dropped, kept_by, memory_of
from theory.diagnosis.nodes import writes_into

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn
    from torch._subclasses.functional_tensor import FunctionalTensor


class Changes:
    """Tells what a run of a copy without values writes into or replaces.

    Parameters
    ----------
    module : torch.nn.Module
        The module itself.
    twin : torch.nn.Module
        Its copy, before the run.
    held : mapping from str to Tensor
        The parameters and buffers of the module by name.
    owned : mapping from str to FunctionalTensor
        Those of the copy.

    Attributes
    ----------
    names : dict from int to str
        The names of the latter by the identity of a functional tensor, and of what it holds before
        the run.
    """

    def __init__(
        self,
        module: nn.Module,
        twin: nn.Module,
        held: Mapping[str, Tensor],
        owned: Mapping[str, FunctionalTensor],
    ) -> None:
        self._twin, self._owned, self._kept = twin, owned, kept_by(twin)
        self._before = {name: inner(each) for name, each in owned.items()}
        self.names = {
            id(each): name for some in (owned, self._before) for name, each in some.items()
        }
        # Copies without values share no memory, nor do copies with values share that of these.
        self._originals = dict(zip(map(id, self._kept), kept_by(module), strict=False))
        self._originals |= {key: held[name] for key, name in self.names.items()}

    def memory_of(self, tensor: Tensor) -> int:
        """Return the identity of the memory of what a tensor of the run is a copy of."""
        return memory_of(self._originals.get(id(tensor), tensor))

    def found(
        self, constants: Mapping[torch.fx.Node, Tensor], lent: Mapping[int, tuple[Tensor, Tensor]]
    ) -> set[int]:
        """Return the memory of all that the run has changed.

        Parameters
        ----------
        constants : mapping from torch.fx.Node to Tensor
            What the nodes of its graph read.
        lent : mapping from int to (Tensor, Tensor)
            Tensors whose memory is that of arrays, as `theory.auditing.constants.Reader` has them.
        """
        changed = [constants[node] for node in writes_into(constants)]
        now = named_tensors(self._twin)
        changed += [
            each
            for name, each in self._owned.items()
            if now.get(name) is not each or inner(each) is not self._before[name]
        ]
        changed += dropped(self._kept, self._twin)
        changed += [
            each
            for each in constants.values()
            if lends_memory(each) and not (id(each) in lent and torch.equal(*lent[id(each)]))
        ]
        return {self.memory_of(each) for each in changed}
