"""What cells see that an index picks: of a tensor, of the rows of a table, of a map."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from tests.seen_cells import followed, in_graph, reached
from theory import audit
from theory.auditing.dependence import Dependence, Unknown

Interval = tuple[int, int]

WEIGHTS = torch.tensor([0.5, 0.25, 1.0])  # numbers: the order that they are in is not followed
TABLE = torch.ones(4, 3, dtype=torch.float64)

BY_AN_INDEX_THAT_VARIES: dict[
    str,
    tuple[Callable[[Tensor], Tensor], tuple[int, ...], Callable[[int, int], tuple[Interval, ...]]],
] = {
    "any row of a column": (
        lambda x: x.gather(0, x[:3, 1:].long()),
        (4, 3),
        lambda row, column: ((0, 3), (column, column + 1)),
    ),
    "any column of a row": (
        lambda x: x.gather(-1, x[:3, 1:].long()),
        (4, 3),
        lambda row, column: ((row, row), (0, 2)),
    ),
    "of a table that is given": (
        lambda x: TABLE.gather(0, x.long()),
        (4, 3),
        lambda row, column: ((row, row), (column, column)),
    ),
    "the only cell": (
        lambda x: x[1:, 1:].sum().gather(0, x[0, 0].long()).reshape(1, 1),
        (4, 3),
        lambda row, column: ((0, 3), (0, 2)),
    ),
}


@pytest.mark.parametrize("name", BY_AN_INDEX_THAT_VARIES)
def test_an_index_that_varies_may_pick_any_cell_of_its_row(name: str) -> None:
    """Red where rows and columns are confused, or where the index itself is not seen."""
    function, shape, expected = BY_AN_INDEX_THAT_VARIES[name]
    outputs = tuple(function(torch.zeros(shape, dtype=torch.float64)).shape)
    for axis in range(len(shape)):
        seen = followed(function, shape, axis)
        assert isinstance(seen, Dependence)
        cells = [(row, column) for row in range(outputs[0]) for column in range(outputs[1])]
        assert in_graph(seen.reach, outputs) == [expected(*cell)[axis] for cell in cells]


def test_a_grid_that_varies_may_lie_anywhere_in_the_map_of_each_channel() -> None:
    """Red where channels are mixed, or where the place of a point is not that of its output."""

    def sampled(x: Tensor) -> Tensor:
        places = x[:, :1, :2, :, None].expand(-1, -1, -1, -1, 2)[:, 0]
        return functional.grid_sample(x, places, align_corners=False)

    def at_places(x: Tensor) -> Tensor:
        return functional.grid_sample(
            torch.ones(2, 2, 3, 3), x[..., None].expand(-1, -1, -1, 2), align_corners=False
        )

    shape, outputs = (2, 2, 4, 3), (2, 2, 2, 3)
    for axis, expected in enumerate(
        [
            [(batch, batch) for batch in (0, 1) for _ in range(12)],
            [(0, channel) for _ in (0, 1) for channel in (0, 1) for _ in range(6)],
            [(0, 3)] * 24,
            [(0, 2)] * 24,
        ]
    ):
        seen = followed(sampled, shape, axis)
        assert isinstance(seen, Dependence)
        assert in_graph(seen.reach, outputs) == expected
    for axis in (1, 2):
        seen = followed(lambda x: at_places(x.float()), (2, 4, 3), axis)
        assert isinstance(seen, Dependence)
        cells = [(row, column) for _ in range(4) for row in range(4) for column in range(3)]
        assert in_graph(seen.reach, (2, 2, 4, 3)) == [(cell[axis - 1],) * 2 for cell in cells]


def test_what_points_of_a_grid_of_its_own_see_is_unknown() -> None:
    """Red where the report does not name what it is that nobody knows."""
    places = torch.zeros(1, 5, 6, 2, dtype=torch.float64)
    sampled = followed(
        lambda x: functional.grid_sample(x[None], places, align_corners=False), (2, 4, 3), 0
    )
    assert sampled == Unknown("grid_sampler_2d")


ALIKE: dict[str, Callable[[Tensor], Tensor]] = {
    "index": lambda x: x.sum(1, keepdim=True).expand(-1, 3)[:, WEIGHTS.argsort()],
    "index_select": lambda x: (
        x.sum(1, keepdim=True).expand(-1, 3).index_select(-1, WEIGHTS.argsort())
    ),
}


@pytest.mark.parametrize("name", ALIKE)
def test_it_is_all_the_same_which_of_cells_is_picked_that_see_alike(name: str) -> None:
    """Red where the law of the rows is lost with the order of the columns."""
    seen = followed(ALIKE[name], (4, 3), 0)
    assert isinstance(seen, Dependence)
    assert in_graph(seen.reach, (4, 3)) == [(row, row) for row in range(4) for _ in range(3)]
    assert seen.dim == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum(0, keepdim=True).expand(3).index_select(-1, WEIGHTS.argsort()),
        lambda x: x.sum().index_select(0, WEIGHTS[:1].argsort()),
        lambda x: x.sum().expand(3).take(WEIGHTS.argsort()),
        lambda x: x.sum().expand(3, 3).take(WEIGHTS.argsort()),
    ],
)
def test_and_so_it_is_in_a_row_or_a_single_number(function: Callable[[Tensor], Tensor]) -> None:
    """Red where a dimension is counted that is not there."""
    seen = followed(function, (5,), 0)
    assert isinstance(seen, Dependence)
    assert set(in_graph(seen.reach, tuple(function(torch.ones(5)).shape))) == {(0, 4)}
    assert seen.dim is None


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: x[:2][WEIGHTS[:2].argsort()], "index"),
        (lambda x: x[:2].index_select(0, WEIGHTS[:2].argsort()), "index_select"),
        (lambda x: x[:2].take(WEIGHTS[:2].argsort()), "take"),
        (lambda x: x.index_select(-2, WEIGHTS.argsort())[:2], "index_select"),
        (lambda x: x[x[:2, 0].long()], "index"),
    ],
)
def test_but_not_of_cells_that_see_others(function: Callable[[Tensor], Tensor], name: str) -> None:
    """Red where two cells are too few to be told apart, or where a varying index is taken for 0."""
    assert followed(function, (4, 3), 0) == Unknown(name)


def test_a_single_cell_that_is_picked_has_no_law() -> None:
    """Red where what is picked by an unknown index is said to move with its place."""
    seen = followed(lambda x: x[WEIGHTS[:1].argsort().expand(2)], (1, 3), 0)
    assert isinstance(seen, Dependence)
    assert seen.dim is None
    assert in_graph(seen.reach, (2, 3)) == [(0, 0)] * 6


def test_a_table_that_depends_on_the_input_is_seen_as_a_whole() -> None:
    for looked_up in functional.embedding, functional.embedding_bag:
        function = Fn(lambda x, looked_up=looked_up: looked_up(torch.tensor([[0, 1]]), x[0].T))
        assert audit(function, (3, 8)).receptive_field == (8,)


@pytest.mark.parametrize(
    ("offsets", "last", "fields"),
    [
        (lambda: torch.tensor([0, 3, 3]), False, [(0, 2), None, (3, 7)]),
        (lambda: torch.tensor([0, 3, 6]), True, [(0, 2), (3, 5)]),
        (lambda: torch.tensor([0, 8]), False, [(0, 7), None]),
        (lambda: torch.arange(0, 8, 3), False, [(0, 2), (3, 5), (6, 7)]),
        (lambda: torch.zeros(1, dtype=torch.int64), False, [(0, 7)]),
        (lambda: torch.zeros(0, dtype=torch.int64), False, []),
    ],
)
def test_a_bag_sees_the_indices_and_the_weights_from_its_offset_on(
    offsets: Callable[[], Tensor], last: bool, fields: list[tuple[int, int] | None]
) -> None:
    bags = nn.EmbeddingBag(8, 1, mode="sum", include_last_offset=last)
    for function in (
        lambda x, bags: bags(x[0].long(), offsets()),
        lambda x, bags: bags(torch.arange(8), offsets(), per_sample_weights=x[0]),
    ):
        (seen,) = reached(Fn(function, bags), (8,), 0)
        assert in_graph(seen.reach, (len(fields), 1)) == fields


def test_rows_of_indices_are_bags_of_their_own() -> None:
    for device in "cpu", "meta":
        rows = Fn(lambda x, bags: bags(x[0].T.long()), nn.EmbeddingBag(9, 2, device=device))
        (seen,) = reached(rows, (3, 5), 1)
        assert in_graph(seen.reach, (5, 1)) == [(cell, cell) for cell in range(5)]


def test_offsets_of_bags_may_be_made_of_a_buffer_but_not_drawn() -> None:
    bags = nn.EmbeddingBag(9, 2)
    bags.register_buffer("offsets", torch.tensor([0, 3]))
    facts = audit(Fn(lambda x, bags: bags(x[0].long(), bags.offsets), bags), (8,))
    assert facts.receptive_field == (5,)
    facts = audit(Fn(lambda x, bags: bags(x[0].long(), 2 * bags.offsets), bags), (8,))
    assert facts.receptive_field == (6,)
    drawn = Fn(lambda x, bags: bags(x[0].long(), torch.randint_like(bags.offsets, 3)), bags)
    facts = audit(drawn, (8,))
    assert facts.receptive_field == (None,)
    assert facts.rows[-1].linearity == "nonlinear"
    assert "from layers.0 on: no rule for the primitive _embedding_bag" in facts.warnings[0]


def test_a_bag_sees_both_its_indices_and_its_weights() -> None:
    """Red where several sources are taken for all that there is."""
    bags = nn.EmbeddingBag(8, 1, mode="sum")

    def weighted(x: Tensor, bags: nn.Module) -> Tensor:
        return bags(x[0].long(), torch.tensor([0, 3, 6]), per_sample_weights=x[0].roll(1))

    (seen,) = reached(Fn(weighted, bags), (8,), 0)
    assert in_graph(seen.reach, (3, 1)) == [(0, 7), (2, 5), (5, 7)]


def test_bags_without_indices_see_nothing() -> None:
    """Red where a bag needs a cell to be made of."""
    bags = nn.EmbeddingBag(8, 1, mode="sum")
    for offsets in ([0], [0, 0]):
        empty = Fn(lambda x, bags, of=offsets: bags(x[0, :0].long(), torch.tensor(of)), bags)
        (seen,) = reached(empty, (8,), 0)
        assert in_graph(seen.reach, (len(offsets), 1)) == [None] * len(offsets)


def test_bags_whose_offsets_go_back_are_unknown() -> None:
    """Red where a bag that ends before it begins is taken for an empty one."""
    bags = nn.EmbeddingBag(8, 1, mode="sum")
    back = Fn(lambda x, bags: bags(x[0].long(), torch.tensor([0, 5, 3])), bags)
    facts = audit(back, (8,))
    assert facts.receptive_field == (None,)
    assert "from layers.0 on: no rule for the primitive _embedding_bag" in facts.warnings[0]


@pytest.mark.parametrize(("offsets", "last"), [([1, 3], False), ([0, 9], False), ([0, 3, 9], True)])
def test_bags_that_no_index_falls_into_are_refused(offsets: list[int], last: bool) -> None:
    """Red where an audit describes what fails when it runs, or ends in an error of numpy."""
    bags = nn.EmbeddingBag(8, 1, mode="sum", include_last_offset=last)
    function = Fn(lambda x, bags: bags(x[0].long(), torch.tensor(offsets)), bags)
    with pytest.raises(ValueError, match=r"fails at the offsets.*first to be 0.*last at most 8"):
        audit(function, (8,))


def test_a_row_that_is_looked_up_keeps_the_law_of_its_index() -> None:
    """Red where a table that varies as well is forgotten, or the law of the index is."""
    table = torch.ones(9, 2)
    seen = followed(lambda x: functional.embedding(x.long(), table), (4, 3), 0)
    assert isinstance(seen, Dependence)
    assert (seen.dim, seen.windows.jump) == (0, 1)
    assert in_graph(seen.reach, (4, 3, 2)) == [(row, row) for row in range(4) for _ in range(6)]
    both = followed(lambda x: functional.embedding(x[0].long(), x), (4, 3), 0)
    assert isinstance(both, Dependence)
    assert set(in_graph(both.reach, (3, 3))) == {(0, 3)}
