from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored_study import ask, begin, study_spec, write_state
from study_holder import holder

from safr_study.cli.app import main
from safr_study.home import open_home

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The running state of a failed trial of study ``s``."""
    monkeypatch.setenv("SAFR_STUDY_HOME", str(tmp_path / "home"))
    home = open_home(tmp_path / "home")
    ledger = begin(home, study_spec())
    ask(ledger)
    ledger.fail(0, "a sentence")
    return write_state(home.checkpoints(ledger.uid) / "00000" / "state")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process, answered with ``said``."""

    def called(*arguments: str, said: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", "clean", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return called


def test_it_shows_what_it_would_free_and_asks(state: Path, run: Run) -> None:
    code, out, err = run(said="n\n")
    assert code == 0
    assert "running state of trial 0 (failed)" in out
    size = sum(path.stat().st_size for path in state.iterdir())
    assert f"{size / 1000:.0f} kB in all." in out
    assert "[y/N]" in err
    assert "nothing was removed" in err
    assert state.exists()
    code, out, _ = run(said="y\n")
    assert (code, state.exists()) == (0, False)
    assert f"Freed {size / 1000:.0f} kB." in out
    assert "There is nothing to free." in run()[1]


def test_nobody_there_to_answer_is_no_yes(state: Path, run: Run) -> None:
    code, _, err = run()
    assert code == 2
    assert err.splitlines()[-1].startswith("error: yes: nobody answered")
    assert state.exists()


def test_a_dry_run_removes_nothing_and_yes_asks_nothing(state: Path, run: Run) -> None:
    code, out, err = run("--dry-run")
    assert (code, err) == (0, "")
    assert "in all." in out
    planned = json.loads(run("--dry-run", "--json")[1])
    assert state.exists()
    code, out, _ = run("s", "--yes", "--json")
    done = json.loads(out)
    assert (code, state.exists()) == (0, False)
    assert (planned["dry_run"], done["dry_run"]) == (True, False)
    assert planned["removed"] == done["removed"]
    (removed,) = done["removed"]
    assert (removed["path"], removed["study"]) == (str(state), "s")
    assert done["bytes"] == removed["bytes"] > 0


def test_what_is_kept_is_said(state: Path, run: Run, tmp_path: Path) -> None:
    with holder(tmp_path / "home", "s"):
        code, out, err = run("--yes")
    assert (code, out) == (0, "There is nothing to free.\n")
    assert err == "kept: study 's' is running: nothing of it is touched\n"
    assert state.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json"], "yes: with --json nobody is asked"),
        (["s", "--caches"], "caches: belong to no study"),
        (["nothing", "--yes"], "study: 'nothing' is unknown"),
        (["../s", "--yes"], "study: '../s' is no name of a study"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(
    state: Path, run: Run, arguments: list[str], words: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith(f"error: {words}")
    assert state.exists()
