"""The page of results says what the committed runs say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from benchmarks import movies, scorecard
from benchmarks.trained_models import Line, read_lines
from synthetic_runs import request_of
from written_commands import commands_in, faults, shell_blocks

from safr_study.features.paper.compare import reproduce_item
from safr_study.features.paper.lines import RunLine, read_file
from safr_study.features.paper.rows import item_rows
from safr_study.features.paper.view import paper_page

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGE = (RESULTS.parent / "results.md").read_text("utf-8")
TABLES = sorted((RESULTS / "tables").glob("*.md"))


def lines_behind(name: str) -> tuple[str, str, list[RunLine]]:
    """The item, the data set and the runs of a table's file."""
    item, _, rest = name.partition("-")
    dataset, _, preset = rest.rpartition("-")
    found = read_file(RESULTS / f"{dataset}-{preset}.jsonl")
    rows = {entry.row for entry in item_rows(item, dataset)}  # type: ignore[arg-type]
    return item, dataset, [line for line in found if line.row in rows]


def test_there_is_a_table_of_each_kind() -> None:
    names = {path.stem for path in TABLES}
    assert {
        f"{item}-sst2-treebank-masked" for item in ("table1", "table2", "table3", "table6")
    } <= names
    assert {"figure3-sst2-treebank-masked", "rationale-sst2-treebank-masked"} <= names


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_committed_table_is_what_its_runs_give(path: Path) -> None:
    item, dataset, lines = lines_behind(path.stem)
    text = path.read_text("utf-8")
    counted = {"table2": 3, "table6": 3}.get(item, 5)
    seeds = max(line.seed for line in lines) + 1 if len(lines) < 15 else counted
    kept = [line for line in lines if line.seed < seeds]
    if item == "table3":
        kept = [line for line in kept if line.capacities is not None]
    newest = {(line.row, line.seed): line for line in kept}
    request = request_of(item, seeds, dataset)  # type: ignore[arg-type]
    result = reproduce_item(request, list(newest.values()))
    assert paper_page(result, wide=True).markdown() == text


@pytest.mark.parametrize(
    ("name", "markdown"), [("scorecard", scorecard.markdown), ("movies", movies.markdown)]
)
def test_a_page_of_trained_models_is_what_their_lines_give(
    name: str, markdown: Callable[[Sequence[Line]], str]
) -> None:
    lines = read_lines(RESULTS / f"{name}.jsonl")
    assert lines
    assert markdown(lines) == (RESULTS / f"{name}.md").read_text("utf-8")


def test_its_tables_are_the_generated_ones() -> None:
    written = [*TABLES, *RESULTS.glob("efficiency-*.md"), *RESULTS.glob("*-confirmed.md")]
    written += [RESULTS / "scorecard.md"]
    generated = "\n".join(path.read_text("utf-8") for path in written)
    rows = [line for line in PAGE.splitlines() if re.match(r"\|.*\d\.\d\d \[", line)]
    # Beside the summary, the history of what was tried, by code that is no more.
    own = PAGE[: PAGE.index("## Table 1")] + PAGE[PAGE.index("| step | ratio") :]
    assert len(rows) > 40
    assert [row for row in rows if row not in generated and row not in own] == []


def test_the_readme_shows_rows_of_the_scorecard() -> None:
    generated = (RESULTS / "scorecard.md").read_text("utf-8").splitlines()
    readme = (RESULTS.parents[1] / "README.md").read_text("utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| from scratch |")]
    shown = [row for row in rows if "SAFR" in row or "L1" in row or "Top-K" in row]
    assert len(shown) == 3
    assert [row for row in shown if row not in generated] == []
    means = next(row for row in generated if "| no VMASK |" in row).split(" | ")
    said = re.search(
        r"\(([\d.]+) accuracy, ([\d.]+) SRS\(30\), ([\d.]+) NAOPC, ([\d.]+) average", readme
    )
    assert said is not None
    assert said.groups() == (means[3], means[4], means[8], means[9])


def test_its_commands_are_understood_and_its_links_lead_somewhere() -> None:
    commands = [command for block in shell_blocks(PAGE) for command in commands_in(block)]
    assert len(commands) >= 8
    assert [fault for command in commands for fault in faults(command)] == []
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", PAGE)
    assert [link for link in links if not (RESULTS.parent / link).exists()] == []


def test_nothing_was_left_to_fill_in() -> None:
    assert re.findall(r"^@.*|@@", PAGE, flags=re.MULTILINE) == []
