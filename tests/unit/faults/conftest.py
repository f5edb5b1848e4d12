"""The command line in this process, in a home with finished work that no fault may change."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import FUZZED, ROW_COUNTS, Case
from stored_study import finished_study
from stored_study import study_spec as stored_spec
from synthetic_study import ranked_study, study_spec, writer_of
from tiny_model import save_tiny_model

from safr_study.cli.app import main
from safr_study.home import Home, open_home
from safr_study.records import TrialRecord
from safr_study.tracking.registry import register_front
from safr_study.tracking.store import open_store
from safr_study.tracking.study_runs import StudyEnd

FINISHED = ("ledgers/*.journal", "checkpoints/**/*", "artifacts/**/*", "mlflow.db", "home.json")
MOST_CHARACTERS = 700
"""Of a sentence that somebody is to read."""

Refuse = Callable[[Case], None]


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with a finished study ``done`` and a registered model ``safr-planted``."""
    from synthetic_study import complete_trial

    home = open_home(tmp_path_factory.mktemp("finished") / "home")
    finished_study(home, stored_spec("done", trials=2), {0: (80.0, 10.0), 1: (70.0, 12.0)})
    store = open_store(home, f"sqlite:///{home.tracking_database}")
    spec = study_spec("done")
    ended: TrialRecord = complete_trial(0, 80.0, 10.0, folder=home.checkpoints("registered"))
    writer = writer_of(store, spec)
    writer.start()
    writer.trial_ended(ended)
    result = ranked_study(spec, [[ended]], knee=0)
    assert writer.finish(StudyEnd(result)) is None
    register_front(store, result, uid="done-1", spec=spec)
    return home


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that works."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def refused(
    finished_home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Refuse:
    """Run a row: its exit code, its sentence, and that nothing finished was lost."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SAFR_STUDY_HOME", str(finished_home.root))
    monkeypatch.setenv("NO_COLOR", "1")
    before = finished_work(finished_home)

    def run(case: Case) -> None:
        if case.given is not None:
            case.given(folder)
        monkeypatch.setattr(sys, "argv", ["safr-study", *case.command])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        said = shown.err.strip().splitlines()
        assert (ended.value.code, shown.out) == (case.code, ""), shown.err
        assert case.says.replace("{}", str(folder)) in shown.err
        assert len(said) == case.lines, shown.err
        assert all(line.startswith("error: ") for line in said), shown.err
        assert all(len(line) <= MOST_CHARACTERS for line in said), shown.err
        assert all(line.isprintable() for line in said), shown.err
        assert "Traceback" not in shown.err
        assert finished_work(finished_home).items() >= before.items()

    return run


def finished_work(home: Home) -> dict[str, str]:
    """Digest of every file of finished work."""
    return {
        str(path.relative_to(home.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for pattern in FINISHED
        for path in home.root.glob(pattern)
        if path.is_file()
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many rows were in the tables that were run."""
    if ROW_COUNTS:
        tables = ", ".join(f"{count} {name}" for name, count in ROW_COUNTS.items())
        terminalreporter.write_line(f"bad input: {sum(ROW_COUNTS.values())} rows ({tables})")
    if FUZZED:
        fuzzers = ", ".join(f"{count:,} {name}" for name, count in FUZZED.items())
        terminalreporter.write_line(f"fuzzed: {sum(FUZZED.values()):,} examples ({fuzzers})")
