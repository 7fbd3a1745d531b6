"""Faults planted in the audit, each of which a test of it must catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests import (
    test_audit,
    test_audit_aliasing,
    test_audit_chains,
    test_audit_costs,
    test_audit_dead_units,
    test_audit_unknown,
)
from tests.audit_modules import Net
from theory import auditing
from theory.auditing import advice, calls, counting, responses, subsampling


def _every_parameter_again(self: Any, call: calls.Call) -> tuple[int, int]:
    self.counted.clear()
    return TRUE_FIRST_USED(self, call)


def _flops_for_macs(call: Any) -> counting.Cost:
    true = counting._convolution(call)
    return counting.Cost(true.flops, true.flops)


def _groups_forgotten(call: Any) -> counting.Cost:
    true = counting._convolution(call)
    return counting.Cost(true.macs * call["groups"], true.flops * call["groups"])


TRUE_FIRST_USED = auditing._Facts._first_used


@pytest.mark.parametrize(
    ("place", "name", "fault", "trial"),
    [
        (
            auditing._Facts,
            "_first_used",
            _every_parameter_again,
            test_audit.test_one_row_a_call_in_the_order_of_execution,
        ),
        (
            counting,
            "_RULES",
            {**counting._RULES, "convolution": _flops_for_macs},
            test_audit_costs.test_macs_and_flops_are_counted_apart,
        ),
        (
            counting,
            "_RULES",
            {**counting._RULES, "convolution": _groups_forgotten},
            test_audit_costs.test_macs_and_flops_are_counted_apart,
        ),
        (
            responses.Response,
            "passed",
            lambda self: torch.zeros(self.spectrum.shape[:-3], dtype=torch.bool),
            test_audit_aliasing.test_a_blur_before_the_stride_keeps_it_from_aliasing,
        ),
        (
            subsampling,
            "_times_in_a_row",
            lambda copies, stride: stride,
            test_audit_chains.test_copies_of_other_cells_are_no_reason_for_silence,
        ),
        (
            responses.Response,
            "after",
            lambda self, earlier: self,
            test_audit_chains.test_what_one_filter_lets_through_in_a_channel_the_next_may_stop,
        ),
        (
            advice,
            "_is_nonnegative",
            lambda node: False,
            test_audit_dead_units.test_dead_units_are_read_off_the_weights,
        ),
        (
            calls,
            "_is_layer",
            lambda module: not isinstance(module, Net),
            test_audit_unknown.test_unknown_structure_is_said_and_not_guessed,
        ),
    ],
)
def test_a_planted_fault_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    fault: Any,
    trial: Callable[[], None],
) -> None:
    trial()
    monkeypatch.setattr(place, name, fault)
    with pytest.raises((AssertionError, ValueError)):
        trial()
