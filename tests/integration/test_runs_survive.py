"""``confirm`` and a table of the paper survive what ``search`` survives: head, worker, lock.

The same of ``search`` alone, at random moments, is in ``tests/drill``.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from commands import command_line, environment, safr
from postgres_server import database
from processes import named, trial_processes
from sqlalchemy import NullPool, create_engine, text
from stored_study import FACTS, ask, complete
from synthetic_runs import all_lines

from safr_study.data import encoded_corpus
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import confirmed_runs, readings_of_test
from safr_study.ledger.storage import close_storage, open_storage
from safr_study.settings import CorpusSpec, StudySpec
from safr_study.settings.space_files import find_space

STUDY = "c1"
VALUES = ((70.0, 8.0), (72.0, 6.0), (80.0, 10.0))
CONFIRM = ("confirm", STUDY, "--seeds", "2", "--max-concurrent", "1")
TABLE = ("reproduce", "table1", "--seeds", "2", "--epochs", "4", "--max-concurrent", "1")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not Path("/proc/self/stat").exists(), reason="finds processes as Linux does"
    ),
]


def opened(home: Path, url: str | None = None) -> Ledger:
    storage = open_storage(open_home(home), url, STUDY, create=False)
    assert storage is not None
    ledger = Ledger.load(storage, STUDY)
    assert ledger is not None
    return ledger


def searched(home: Path, url: str | None = None) -> None:
    """A study that is ready to be confirmed, made without any training."""
    at = open_home(home)
    spec = StudySpec.model_validate(
        {
            "name": STUDY,
            "corpus": CorpusSpec(dataset="planted", train_limit=300, dev_limit=100, test_limit=100),
            "space": find_space("smoke"),
            "sampler": "random",
            "train": {"epochs": 4, "patience": 4},
        }
    )
    storage = open_storage(at, url, STUDY, create=True)
    assert storage is not None
    fingerprint = encoded_corpus(spec.corpus, at.corpora).fingerprint
    ledger = Ledger.create(storage, spec, replace(FACTS, corpus_fingerprint=fingerprint))
    for number, values in zip(ask(ledger, len(VALUES)), VALUES, strict=True):
        complete(ledger, number, values)
    close_storage(storage)


@dataclass(frozen=True)
class Command:
    """A command that fills a store run by run."""

    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]
    done: Callable[[Path], dict[object, object]]
    """What has been finished, by run, with all its numbers."""
    first: str
    """Beginning of what it says when a run has ended."""
    runs: int
    code: int = 0
    """Exit code of its end."""


def _nothing(home: Path) -> None:
    open_home(home)


def _confirmed(home: Path, url: str | None = None) -> dict[object, object]:
    ledger = opened(home, url)
    runs = confirmed_runs(ledger)
    close_storage(ledger.storage)
    return {key: (run.ended, run.dev, run.failure) for key, run in runs.items()}


def _lines(home: Path) -> dict[object, object]:
    return {(line.row.name, line.seed): line for line in all_lines(home / "results")}


# The search that is confirmed was never run, so MLflow has no run of it: said at the very end.
COMMANDS = {
    "confirm": Command(CONFIRM, searched, _confirmed, "trial ", 6, 4),
    "reproduce": Command(TABLE, _nothing, _lines, "baseline seed 0: ", 6),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its data have the name of a data set of the paper."""
    folder = tmp_path / "data" / "sst2-treebank"
    folder.mkdir(parents=True)
    for split, texts in (("train", 600), ("validation", 40), ("test", 40)):
        rows = [
            f"{('bad', 'good')[i % 2]} film {' '.join(f'w{i * j % 97}' for j in range(12))},{i % 2}"
            for i in range(texts)
        ]
        (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path / "data"))
    return tmp_path / "home"


@contextlib.contextmanager
def begun(home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a session of its own; nothing of it is left afterwards."""
    process = subprocess.Popen(
        command_line(*arguments),
        env=environment(home),
        cwd=home.parent,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def wait_for(process: subprocess.Popen[str], beginning: str) -> list[str]:
    """What it says until it has said a line that begins so."""
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(beginning):
            return said
    raise AssertionError("".join(said))


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and the rest of what it says."""
    assert process.stderr is not None
    said = process.stderr.read()
    return process.wait(), said.strip()


def finish(home: Path, command: Command, before: dict[object, object]) -> None:
    """The same command does the others, and leaves what was finished as it was."""
    ended = safr(home, *command.arguments, "--json")
    assert ended.code == command.code, ended.err
    assert (command.code == 4) is ("has no run of study" in ended.err)
    after = command.done(home)
    assert len(after) == command.runs
    assert {key: after[key] for key in before} == before
    assert json.loads(ended.out)


@pytest.mark.parametrize("part", ["gcs_server", pytest.param("raylet", marks=pytest.mark.drill)])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_head_is_a_sentence_and_the_same_command_resumes(
    home: Path, name: str, part: str
) -> None:
    command = COMMANDS[name]
    command.prepare(home)
    with begun(home, *command.arguments) as process:
        wait_for(process, command.first)
        (head,) = named(process.pid, part)
        assert head.kill()
        code, said = end(process)
    assert code == 4, said
    last = said.splitlines()[-1]
    assert last.startswith("error: cluster: the head of the Ray cluster was killed")
    assert last.endswith("and the same command goes on from there")
    assert "Traceback" not in said
    before = command.done(home)
    assert 1 <= len(before) < command.runs
    finish(home, command, before)


@pytest.mark.drill
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_worker_costs_nothing_and_a_killed_driver_is_resumed(
    home: Path, tmp_path: Path, name: str
) -> None:
    command = COMMANDS[name]
    command.prepare(home)
    with begun(home, *command.arguments) as process:
        wait_for(process, command.first)
        (worker,) = trial_processes(process.pid)
        assert worker.kill()
        # The run that it had is trained on from its last epoch, and ends well.
        wait_for(process, "trial " if name == "confirm" else "vmask seed 0: ")
        process.send_signal(signal.SIGKILL)
    before = command.done(home)
    assert 2 <= len(before) < command.runs
    finish(home, command, before)
    undisturbed = tmp_path / "undisturbed" / "home"
    undisturbed.parent.mkdir()
    command.prepare(undisturbed)
    assert safr(undisturbed, *command.arguments).code == command.code
    assert _numbers(command.done(home)) == _numbers(command.done(undisturbed))


def _numbers(done: dict[object, object]) -> dict[object, object]:
    """Without times."""
    return {
        key: (one[1], one[2]) if isinstance(one, tuple) else replace(one, seconds=0.0)  # type: ignore[type-var]
        for key, one in done.items()
    }


def end_locks(url: str) -> None:
    """End the sessions that hold a lock, as an administrator may."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        ended = connection.execute(
            text(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks l "
                "WHERE l.locktype = 'advisory' AND l.granted AND l.database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        ).all()
    assert len(ended) == 1


def test_a_lost_lock_stops_confirm_before_it_writes_anything_more(home: Path) -> None:
    with database() as url:
        searched(home, url)
        arguments = (*CONFIRM, "--storage", url)
        with begun(home, *arguments) as process:
            wait_for(process, "trial ")
            end_locks(url)
            before = _confirmed(home, url)
            code, said = end(process)
        assert code == 4, said
        assert said.splitlines()[-1].startswith(
            f"error: storage: the lock of the confirmation of study '{STUDY}' was lost"
        )
        ledger = opened(home, url)
        assert readings_of_test(ledger) == ()
        close_storage(ledger.storage)
        assert _confirmed(home, url) == before
        assert 1 <= len(before) < 6
        ended = safr(home, *arguments)
        assert "has no run of study" in ended.err
        assert len(_confirmed(home, url)) == 6


def test_a_lost_lock_stops_a_search_before_it_writes_anything_more(home: Path) -> None:
    with database() as url:
        command = ("search", "--dataset", "planted", "--study", STUDY, "--space", "smoke")
        limits = ("--train-limit", "300", "--dev-limit", "100", "--trials", "3", "--epochs", "40")
        arguments = (*command, *limits, "--max-concurrent", "1", "--storage", url)
        with begun(home, *arguments) as process:
            while not _epochs(home, url):
                assert process.poll() is None
            end_locks(url)
            before = _epochs(home, url)
            code, said = end(process)
        assert code == 4, said
        assert said.splitlines()[-1].startswith(
            f"error: storage: the lock of study '{STUDY}' was lost"
        )
        assert _epochs(home, url) == before < 3 * 40


def _epochs(home: Path, url: str) -> int:
    storage = open_storage(open_home(home), url, STUDY, create=True)
    assert storage is not None
    ledger = Ledger.load(storage, STUDY)
    found = 0 if ledger is None else sum(len(trial.epochs) for trial in ledger.trials())
    close_storage(storage)
    return found
