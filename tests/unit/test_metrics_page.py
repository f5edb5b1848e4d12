"""docs/metrics.md against the catalogue of metrics."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from written_commands import commands_in, faults, shell_blocks

from safr_study.settings import AT_K, LAYERS, OF_LAYER, OF_MODEL, Metric

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
CATALOGUE: dict[str, Metric] = {
    **OF_MODEL,
    **{f"{name}@K": metric for name, metric in AT_K.items()},
    **{f"{name}.LAYER": metric for name, metric in OF_LAYER.items()},
}


OF_USELESS = {
    "majority": {
        "accuracy": 70.0,
        "macro_f1": 100 * 2 * 0.7 / 1.7 / 2,
        "balanced_accuracy": 100 / 2,
        "ece": 30.0,
    },
    "prior": {
        "brier": 1 - 0.49 - 0.09,
        "log_loss": -0.7 * math.log(0.7) - 0.3 * math.log(0.3),
    },
}
"""By what the page's column ``from`` says: the formulas below its table, for 7 and 3 dev texts."""


def rows() -> dict[str, dict[str, str]]:
    """The page's lines of metrics by name, each with its cells by column."""
    found: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not columns:
            columns = cells
        assert len(cells) == len(columns), line
        if {"name", "better"} <= set(columns) and cells[0].startswith("`"):
            name = cells[0].strip("`")
            assert name not in found, f"{name} has two lines"
            found[name] = dict(zip(columns, cells, strict=True))
    return found


ROWS = rows()


def test_the_page_has_every_metric_and_no_other() -> None:
    assert set(ROWS) == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_unit_direction_and_reference_are_those_of_the_catalogue(name: str) -> None:
    metric, row = CATALOGUE[name], ROWS[name]
    assert row["unit"] == (metric.unit or "none")
    assert row["better"] == ("higher" if metric.maximise else "lower")
    if callable(metric.reference):
        assert metric.reference_value([7, 3]) == pytest.approx(OF_USELESS[row["from"]][name])
    else:
        assert row["from"] == f"{metric.reference:g}"


@pytest.mark.parametrize("name", CATALOGUE)
def test_ranges_fit_the_unit_and_hold_the_reference(name: str) -> None:
    metric, row = CATALOGUE[name], ROWS[name]
    ends = re.match(r"(−?[\d.]+) to (−?[\d.]+)", row["range"])
    if metric.unit in ("points", "share"):
        assert ends is not None
        low, high = (float(end.replace("−", "-")) for end in ends.groups())
        assert (low, high) in ([(-100, 100), (0, 100)] if metric.unit == "points" else [(0, 1)])
        assert low <= metric.reference_value([7, 3]) <= high


def test_the_layers_are_named() -> None:
    (sentence,) = re.findall(r"needs a layer:\n(.*?) of the last block", PAGE, flags=re.DOTALL)
    assert tuple(re.findall(r"`(\w+)`", sentence)) == LAYERS


def test_every_command_is_understood_by_the_command_line() -> None:
    commands = [command for block in shell_blocks(PAGE) for command in commands_in(block)]
    assert len(commands) == 3
    assert [fault for command in commands for fault in faults(command)] == []


@pytest.mark.parametrize(
    "number",
    [
        *("(accuracy 78.1)", "SRS(30) = 12.8", "(12.1 by\nclosed form)"),
        *("0.247", "(0.820 without repetition)", "0.747 for the cues", "0.753 for the distractors"),
        *("(random: 0.166)", "expected at 50 points", "against 20 without repetition"),
    ],
)
def test_the_biases_have_the_numbers_of_their_test(number: str) -> None:
    """``evaluation/test_planted_biases.py`` asserts them."""
    assert number in PAGE
