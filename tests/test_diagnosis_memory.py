"""Which tensors share memory, and which of them a module keeps."""

from __future__ import annotations

import copy

import torch
from torch import nn

from theory.diagnosis.memory import dropped, kept_by, memory_of


def _keeping() -> nn.Module:
    """Return a module that keeps six tensors, in itself and in a part of it."""
    module = nn.Sequential(nn.Linear(2, 1))
    module.register_buffer("calls", torch.tensor(3))
    module.plain = torch.tensor([4.0])
    module.kept = {"some": [torch.tensor(5), "text"], "one": (torch.tensor(6), None)}
    return module


def test_a_view_shares_its_memory_and_a_copy_does_not() -> None:
    """Red where tensors are told apart by anything but their memory."""
    tensor = torch.arange(6.0)
    views = tensor[2:], tensor.view(2, 3).T, tensor.detach(), nn.Parameter(tensor)
    assert {memory_of(each) for each in views} == {memory_of(tensor)}
    assert memory_of(tensor.clone()) != memory_of(tensor)


def test_a_sparse_tensor_shares_memory_with_itself_alone() -> None:
    """Red where all sparse tensors count as one, or where asking for their memory fails."""
    one, other = torch.eye(2).to_sparse(), torch.eye(2).to_sparse()
    assert memory_of(one) == memory_of(one)
    assert len({memory_of(each) for each in (one, other, one.to_dense())}) == 3


def test_a_module_keeps_what_it_and_its_parts_hold_in_containers_as_well() -> None:
    """Red where only parameters and buffers count, or where a copy has them in another order."""
    module = _keeping()
    kept = kept_by(module)
    held = [*module.parameters(), *module.buffers(), module.plain]
    held += [module.kept["some"][0], module.kept["one"][0]]
    assert len(kept) == len(held)
    assert {id(each) for each in kept} == {id(each) for each in held}
    assert all(map(torch.equal, kept, kept_by(copy.deepcopy(module))))
    assert kept_by(lambda x: module.plain * x) == []


def test_what_is_kept_no_longer_was_dropped() -> None:
    """Red where a tensor of the same values stands for the one that was there before."""
    module = _keeping()
    before = kept_by(module)
    assert dropped(before, module) == []
    plain, module.plain = module.plain, module.plain.clone()
    some, module.kept["some"][0] = module.kept["some"][0], None
    gone = dropped(before, module)
    assert {id(each) for each in gone} == {id(plain), id(some)}
    assert [id(each) for each in dropped(before, abs)] == [id(each) for each in before]
