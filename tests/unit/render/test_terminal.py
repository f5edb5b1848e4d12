"""On a terminal of any width no number of a table is cut."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from safr_study.render.terminal import TerminalTable
from safr_study.render.text_table import TextTable

NUMBERS = st.tuples(st.floats(0, 99.99), st.floats(0, 9.99)).map(
    lambda v: f"{v[0]:.2f} ± {v[1]:.2f}"
)


def printed(table: TextTable, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(TerminalTable(table))
    return stream.getvalue()


def made(names: list[str], rows: list[list[str]], title: str = "", caption: str = "") -> TextTable:
    columns = (">k %", *(f">{name}" for name in names))
    return TextTable(
        title, columns, [(str(at), *row) for at, row in enumerate(rows)], caption=caption
    )


@given(data=st.data(), columns=st.integers(1, 10), width=st.integers(30, 120))
def test_every_number_and_every_heading_is_there_and_no_line_is_too_long(
    data: st.DataObject, columns: int, width: int
) -> None:
    names = [f"metric{number}" for number in range(columns)]
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=columns, max_size=columns), min_size=1))
    text = printed(made(names, rows), width)
    for word in [*names, *(cell for row in rows for cell in row)]:
        assert word in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_what_fits_is_one_table_and_what_does_not_repeats_its_first_column() -> None:
    table = made(["accuracy", "SRS"], [["12.34 ± 0.56", "1.00 ± 0.10"]], "Both", "* saturated")
    assert printed(table, 60).count("k %") == 1
    narrow = [line.split() for line in printed(table, 22).splitlines() if line.strip()]
    assert [line for line in narrow if set(line[0]) != {"─"}] == [
        ["Both"],
        ["k", "%", "accuracy"],
        ["0", "12.34", "±", "0.56"],
        ["k", "%", "SRS"],
        ["0", "1.00", "±", "0.10"],
        ["*", "saturated"],
    ]


def test_words_fold_before_a_table_is_divided() -> None:
    row = ("imp=0.1 inter=0.2 lr=0.0003 layers=2", "88.25 ± 0.61")
    text = printed(TextTable("", ("setting", ">accuracy"), [row]), 34)
    assert text.count("setting") == 1
    assert "88.25 ± 0.61" in text
    assert "layers=2" in text


def test_a_divided_table_names_its_rows_by_the_columns_that_do() -> None:
    found = [("0", str(trial), "12.34 ± 0.56", "baseline") for trial in (7, 4)]
    table = TextTable("", (">front", ">trial", ">accuracy", "note"), found, keys=(1,))
    text = printed(table, 26)
    rows = [line.split() for line in text.splitlines() if line.strip() and "─" not in line]
    assert rows == [
        ["trial", "front"],
        ["7", "0"],
        ["4", "0"],
        ["trial", "accuracy"],
        ["7", "12.34", "±", "0.56"],
        ["4", "12.34", "±", "0.56"],
        ["trial", "note"],
        ["7", "baseline"],
        ["4", "baseline"],
    ]
