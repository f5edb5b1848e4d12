"""Every command that prints or writes numbers says what it said, on homes of older code."""

from __future__ import annotations

from pathlib import Path

import pytest

from nets.cases import CASES, FROZEN, HOMES, Case, differences, outputs
from nets.old_home import unpacked


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The old homes, unpacked into one folder."""
    folder = tmp_path_factory.mktemp("old-homes")
    return {name: unpacked(name, folder) for name in HOMES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_says_what_it_said(case: Case, homes: dict[str, Path]) -> None:
    written = outputs(case, homes)
    assert {
        name: different
        for name, text in written.items()
        if (
            different := differences(text, (FROZEN / name).read_text("utf-8"), name, case.tolerance)
        )
    } == {}


def test_every_frozen_output_belongs_to_a_command() -> None:
    named = {name for case in CASES for name in case.outputs}
    named |= {f"{case.name}.page.json" for case in CASES if case.has_page}
    assert {path.name for path in FROZEN.iterdir()} == named
