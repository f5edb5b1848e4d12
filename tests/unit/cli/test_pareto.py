from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stored_study
import synthetic_confirmation
from typer.testing import CliRunner

from safr_study.cli import output, results
from safr_study.cli.app import app
from safr_study.home import Home, open_home
from safr_study.ledger.run_store import record_run
from safr_study.records.run import RunResult
from safr_study.render.result_tables import SENTENCES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A study of 30 complete trials, of which trial N has accuracy 60 + N, and 12 failed ones."""
    made = open_home(tmp_path_factory.mktemp("home"))
    ledger = stored_study.begin(made, stored_study.study_spec("s1", sampler="random"))
    for number in stored_study.ask(ledger, 42):
        if number < 30:
            stored_study.complete(ledger, number, (60.0 + number, 5.0))
        else:
            ledger.fail(number, f"reason {number}")
    return made


def run(home: Home, *given: str) -> str:
    done = CliRunner().invoke(app, ["pareto", "s1", "--home", str(home.root), *given])
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(text: str) -> list[list[str]]:
    """Those of trials: a front's number, then a trial's."""
    split = (line.split() for line in text.splitlines())
    return [words for words in split if len(words) > 2 and "".join(words[:2]).isdigit()]


def test_the_table_has_the_best_and_counts_the_others(home: Home) -> None:
    text = run(home, "--rows", "4")
    assert [row[1] for row in rows(text)[:4]] == ["29", "28", "27", "26"]
    assert "26 more trials; --rows 0 shows all" in text
    assert len(rows(text)) == 4
    for given in ([], ["--rows", "0"], ["--rows", "30"]):
        text = run(home, *given)
        assert len(rows(text)) == 30
        assert "more trials;" not in text


def test_many_failures_are_counted(home: Home) -> None:
    text = run(home)
    assert "failed: reason 30" in text
    assert f"reason {30 + SENTENCES}" not in text
    assert "2 more trials failed" in text


def test_a_long_document_is_the_same_in_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = run(home, "--json")
    assert short.startswith("{\n  ")
    monkeypatch.setattr(output, "LONG_JSON", 100)
    long = run(home, "--json")
    assert long.count("\n") == 1
    assert json.loads(long) == json.loads(short)


def test_the_collector_runs_again_afterwards(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    during = []
    monkeypatch.setattr(results, "_show", lambda *_: during.append(gc.isenabled()))
    assert gc.isenabled()
    run(home)
    assert during == [False]
    assert gc.isenabled()


def test_a_ranking_needs_no_slow_library(home: Home, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = sys.argv[1:]\n"
        "from safr_study.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "slow = {'torch', 'ray', 'mlflow', 'pandas', 'matplotlib', 'scipy.stats'}\n"
        "print(sorted(slow & sys.modules.keys()), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "safr-study", "pareto", "s1", "--home", str(home.root)]

    def loaded(*more: str) -> str:
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
        return done.stderr.splitlines()[-1]

    assert loaded() == "[]"
    assert "matplotlib" in loaded("--out", str(tmp_path))


def test_a_confirmed_study_says_that_these_are_the_searchs_own_numbers(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    ledger = stored_study.begin(home, stored_study.study_spec("s1", sampler="random"))
    for number in stored_study.ask(ledger, 2):
        stored_study.complete(ledger, number, (60.0 + number, 5.0))
    assert "Confirmed" not in run(home)
    assert json.loads(run(home, "--json"))["confirmed_seeds"] == []
    right = np.ones(10, dtype=np.bool_)
    for seed in (2, 1):
        record_run(ledger, synthetic_confirmation.run(1, seed, right, right))
    record_run(ledger, RunResult(0, 3, ended="2026-01-01T00:00:00+00:00", failure="it died"))
    said = run(home)
    assert (
        "search's own numbers. Confirmed with 2 new seeds: `safr-study confirm s1 --seeds 2`"
        in said
    )
    assert json.loads(run(home, "--json"))["confirmed_seeds"] == [1, 2]
