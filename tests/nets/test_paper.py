"""The committed tables of the paper are what the committed runs say, and nothing is retrained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nets import paper
from nets.cases import STORED, differences, run
from safr_study.features.paper import output


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in of the data, the committed runs under its keys, and a home."""
    folder = tmp_path_factory.mktemp("paper")
    paper.write_stand_in(folder / "data")
    (folder / "lines").mkdir()
    paper.write_lines(folder / "lines", json.loads(paper.KEYS.read_text("utf-8")))
    return folder


@pytest.mark.parametrize("name", paper.COMMANDS)
def test_a_table_of_the_paper_is_byte_for_byte_what_the_committed_runs_say(
    name: str, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(stand_in / "data"))
    # Pictures have tests of their own.
    monkeypatch.setattr(output, "draw_item", lambda _, path: path.touch())
    written = paper.shown(name, stand_in / "lines", stand_in / "home", tmp_path)
    for suffix in ("md", "csv", "tex"):
        expected = (paper.TABLES / f"{name}.{suffix}").read_bytes()
        assert (tmp_path / f"{name}.{suffix}").read_bytes() == expected, suffix
    for file, text in written.items():
        assert differences(text, (paper.SHOWN / file).read_text("utf-8"), file, STORED) == []


def test_every_committed_table_is_made_anew() -> None:
    assert {path.stem for path in paper.TABLES.glob("*.md")} == set(paper.COMMANDS)


@pytest.mark.parametrize("name", paper.COMMANDS)
def test_the_committed_runs_are_those_of_the_real_data(
    name: str,
    real_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(real_data))
    plan = run(
        *("reproduce", *paper.COMMANDS[name], "--results", str(paper.RESULTS)),
        *("--home", str(tmp_path_factory.getbasetemp() / "real-home"), "--dry-run", "--json"),
    )
    assert plan.code == 0, plan.err
    assert json.loads(plan.out)["missing"] == []
