"""The plain table of the commands on a narrow terminal."""

from __future__ import annotations

import io

from rich.console import Console

from experiments.tables import plain_table


def test_a_name_goes_on_in_the_next_line_and_is_not_cut() -> None:
    table = plain_table("recipe", "missing", right=("missing",))
    table.add_row("without-standardisation.sgd", "3")
    text = io.StringIO()
    Console(width=24, file=text, color_system=None).print(table)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 24
    assert "…" not in text.getvalue()
    parts = [line[:16].strip().removesuffix("3").strip() for line in lines[1:]]
    assert "".join(parts) == "without-standardisation.sgd"
