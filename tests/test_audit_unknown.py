"""What the audit has no rule for is said to be unknown, and not guessed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit


def test_a_view_of_memory_in_which_more_lies_or_in_another_order_is_unknown() -> None:
    for shown in (lambda x: x.mT, lambda x: x[..., 1:], lambda x: x[:, :1].expand(-1, 2, -1)):
        facts = audit(Fn(lambda x, shown=shown: shown(x).as_strided((1, 1, 2), (8, 8, 2))), (2, 8))
        assert facts.receptive_field == (None,)
        assert "no rule for the primitive as_strided" in facts.warnings[0]


def test_a_namesake_of_a_primitive_is_not_taken_for_it() -> None:
    with torch.library._scoped_library("convlaws_test", "DEF") as library:
        library.define("clone(Tensor x) -> Tensor")
        library.impl("clone", lambda x: x.cumsum(-1), "CompositeExplicitAutograd")
        (row,) = audit(Fn(lambda x: torch.ops.convlaws_test.clone(x)), (1, 8)).rows
    assert row.receptive_field == (None,)


def test_unknown_structure_is_said_and_not_guessed() -> None:
    network = nn.Sequential(nn.Conv1d(1, 2, 3), Fn(lambda x: torch.renorm(x, 2, -1, 1.0)))
    facts = audit(network, (1, 8))
    assert facts.receptive_field == (None,)
    assert facts.rows[0].receptive_field == (3,)
    assert facts.rows[-1].receptive_field == facts.rows[-1].jump == facts.rows[-1].start == (None,)
    assert facts.rows[-1].border == (None,)
    told = " ".join(facts.warnings)
    assert "receptive fields are unknown from 1.renorm on" in told
    assert "MACs and FLOPs leave out primitives of unknown cost: renorm" in told
    assert "?" in str(facts)


@pytest.mark.parametrize(
    ("function", "primitive"),
    [
        (lambda x: torch.special.bessel_j0(x), "special_bessel_j0"),  # its field is known
        (lambda x: functional.dropout(x), "bernoulli"),
        (lambda x: torch.renorm(x, 2, -1, 1.0), "renorm"),  # so is not its field
    ],
)
def test_the_primitive_by_which_a_linearity_is_unknown_is_named(
    function: Callable[[Tensor], Tensor], primitive: str
) -> None:
    facts = audit(nn.Sequential(Fn(function), nn.Conv1d(1, 1, 3), Fn(function)), (1, 8))
    unknown = [row.name for row in facts.rows if row.linearity == "unknown"]
    assert len(unknown) == 2
    told = [warning for warning in facts.warnings if warning.startswith("linearity")]
    names = ", ".join(unknown)
    assert told == [f"linearity is unknown in {names}: no rule for the primitive {primitive}"]


def test_a_primitive_with_a_rule_is_not_the_one_that_is_named() -> None:
    """Attention multiplies, and takes a softmax, before it draws what it drops."""
    attention = Fn(lambda x: functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5))
    told = audit(attention, (2, 4, 8)).warnings
    name = "scaled_dot_product_attention"
    assert f"linearity is unknown in {name}: no rule for the primitive bernoulli" in told


def test_a_pool_without_strides_of_its_own() -> None:
    facts = audit(nn.FractionalMaxPool2d(2, output_size=3), (1, 8, 8))
    assert facts.output_shape == (1, 3, 3)
    assert facts.receptive_field == (None, None)
