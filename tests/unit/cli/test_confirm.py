from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored_study import ask, begin, complete, study_spec

from safr_study.cli.app import main
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import driver_lock

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def confirm(monkeypatch: pytest.MonkeyPatch, home: Home, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``confirm`` in this process: its exit code, standard output and standard error."""

    def called(*arguments: str) -> tuple[int, str, str]:
        given = ["safr-study", "confirm", *arguments, "--home", str(home.root)]
        monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return called


def study_with_a_trial(home: Home) -> None:
    ledger = begin(home, study_spec())
    (number,) = ask(ledger)
    complete(ledger, number, (80.0, 10.0))


def test_help_shows_examples_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['safr-study', 'confirm', '--help']\n"
        "from safr_study.cli.app import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "heavy = ('torch', 'ray', 'mlflow', 'optuna', 'scipy', 'pandas', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "Examples" in done.stdout
    assert "safr-study confirm s1" in done.stdout


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_an_unknown_study_is_one_sentence_and_leaves_nothing(
    confirm: Run, home: Home, more: tuple[str, ...]
) -> None:
    code, out, err = confirm("nothing", *more)
    assert (code, out) == (2, "")
    assert err.startswith("error: study: 'nothing' is unknown here")
    assert len(err.strip().splitlines()) == 1
    assert not (home.root / "ledgers").exists()


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_study_without_a_complete_trial_is_refused(
    confirm: Run, home: Home, more: tuple[str, ...]
) -> None:
    ask(begin(home, study_spec()))
    code, out, err = confirm("s", *more)
    assert (code, out) == (2, "")
    assert "'s' has no complete trial yet: nothing to confirm" in err
    assert len(err.strip().splitlines()) == 1


def test_data_that_changed_are_refused(confirm: Run, home: Home) -> None:
    study_with_a_trial(home)
    code, _, err = confirm("s", "--dry-run")
    assert code == 2
    assert err.startswith("error: dataset: the data of study 's' changed")


def test_a_study_that_is_being_run_is_left_alone(confirm: Run, home: Home) -> None:
    study_with_a_trial(home)
    with driver_lock(home, "s"):
        code, _, err = confirm("s")
    assert code == 2
    assert "'s' is being run by another process" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("s", "--seeds", "1"), "--seeds"),
        (("s", "--seeds", "many"), "--seeds"),
        (("s", "--max-concurrent", "0"), "--max-concurrent"),
        ((), "STUDY"),
    ],
)
def test_wrong_use_is_one_sentence(confirm: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = confirm(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert words in line


def test_a_folder_that_is_a_file_is_told_before_anything_runs(
    confirm: Run, home: Home, tmp_path: Path
) -> None:
    study_with_a_trial(home)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    code, _, err = confirm("s", "--out", str(tmp_path / "file"))
    assert code == 2
    assert "file" in err
    assert len(err.strip().splitlines()) == 1
