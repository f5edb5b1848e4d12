from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from scipy import stats
from written_commands import PAGES, ROOT, commands_in, faults, shell_blocks

from safr_study.settings.space_files import parse_space

README = PAGES["README.md"]
TEXT = "\n".join(PAGES.values())


def test_every_command_is_understood_by_the_command_line() -> None:
    commands = [command for block in shell_blocks(TEXT) for command in commands_in(block)]
    assert len(commands) >= 10
    assert [fault for command in commands for fault in faults(command)] == []


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"\bmake ([a-z]+)", TEXT))
    assert targets >= {"demo", "test", "check", "results", "bench", "drill", "pictures"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_spaces_that_it_shows_are_valid() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert "lambda_imp" in parse_space(block, where="page").parameters


def anchors(page: str) -> set[str]:
    """The names by which the headings of a Markdown page are linked."""
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_every_link_to_a_file_leads_somewhere() -> None:
    for name, text in PAGES.items():
        links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", text)
        for link in links:
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent / path if path else ROOT / name
            assert target.exists(), f"{name}: {link}"
            if anchor:
                assert anchor in anchors(target.read_text("utf-8")), f"{name}: {link}"


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 250
    assert [name for name in PAGES if name != "README.md" and f"]({name})" not in README] == []


ROWS = ((False, None, None), (True, 0.0, 0.0), (True, 1.0, 0.1))
"""Of the table: VMASK and the lambdas."""


def of_test(line: dict[str, Any], metric: str) -> float:
    deletions = {one["k"]: one for one in line["test"]["deletions"]}
    value = deletions[0.3].get(metric, line["test"].get(metric))
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("dev accuracy", lambda line: line["dev"]["accuracy"]),
        ("test accuracy", lambda line: line["test"]["accuracy"]),
        ("test SRS(30)", lambda line: of_test(line, "srs")),
        ("test SRS excess(30), beyond a random deletion", lambda line: of_test(line, "srs_excess")),
    ],
)
def test_the_table_is_that_of_the_committed_runs(row: str, value: Any) -> None:
    text = (ROOT / "docs" / "results" / "sst2-treebank-masked.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    cells = []
    for setting in ROWS:
        values = [
            value(line)
            for line in lines
            if (line["vmask"], line["lambda_imp"], line["lambda_inter"]) == setting
        ]
        assert len(values) == 5
        half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
        mean = np.mean(values)
        cells.append(f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]")
    (shown,) = [line for line in README.splitlines() if line.startswith(f"| {row} |")]
    assert [cell.strip().replace("*", "") for cell in shown.strip("|").split("|")[1:]] == cells
