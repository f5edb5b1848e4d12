"""Faults at chosen moments: what was finished stays, and the same command goes on to the same end.

The faults at random moments are in ``tests/drill`` (``make drill``).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from commands import SMALL, STUDY, TRIALS, FinishedStudy, command_line, environment, safr
from optuna.storages.journal._storage import JournalOperation
from plain_scores import made_scores
from processes import of_session, trial_processes, wait_for_end
from run_results import run_result
from traces import is_trial, ledger, numbers, pickles, runs, trials, writes

from safr_study.checkpoint.manifest import verify_model
from safr_study.errors import StudyIncomplete
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import Lease, driver_lock
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.storage import open_storage
from safr_study.records import (
    EpochReport,
    LossTerms,
    Replicate,
    TrialRecord,
    TrialState,
)
from safr_study.records.run import RunResult
from safr_study.runner.driver import SourceSearcher
from safr_study.runner.source import SearchSource
from safr_study.runner.task import RunTask, SharedFault, event
from safr_study.sampling.asha import Decision
from safr_study.settings import CorpusSpec, StudySpec
from safr_study.settings.space_files import find_space

EPOCHS = 4
FEW = 7
FACTS = StudyFacts("f" * 64, "planted", (50.0, 0.0), {})
SCORES = made_scores("dev", 200, 80.5, 2.8, 50.0, 0.4, ())
FAILING = 3
"""Number of a trial that always fails; the grid, which has no more points, has none."""

Disk = dict[int, list[EpochReport]]
"""The epochs that the trials have saved, by number: what a dead driver leaves."""


def study_spec(sampler: str, scheduler: str, count: int) -> StudySpec:
    # As many are stopped, and as many of those run on, as a few trials can show.
    cautious = {"name": scheduler, "first_rung": 1, "reduction": 2, "min_peers": 1}
    return StudySpec.model_validate(
        {
            "name": STUDY,
            "corpus": CorpusSpec(dataset="planted"),
            "space": find_space("smoke"),
            "trials": count,
            "sampler": sampler,
            "scheduler": {**cautious, "margin": 0.0, "run_on": 0.5},
            "train": {"epochs": EPOCHS},
        }
    )


def opened(home: Home, spec: StudySpec) -> Ledger:
    """The ledger as its driver opens it."""
    storage = open_storage(home, None, spec.name, create=True)
    assert storage is not None
    return Ledger.load(storage, spec.name) or Ledger.create(storage, spec, FACTS)


def report_of(task: RunTask, epoch: int) -> EpochReport:
    """An epoch whose numbers follow from the trial and the epoch alone."""
    accuracy, srs = np.random.default_rng([task.number, epoch]).uniform(50, 90, size=2)
    return EpochReport(
        epoch=epoch,
        train=LossTerms(0.7, 0.7, None, None),
        dev_accuracy=float(accuracy),
        dev_loss=0.5,
        gate_openness=0.5,
        mean_norm=16.0,
        best=True,
        seconds=1.0,
        objectives=(float(accuracy), float(srs)) if epoch in task.rungs else None,
    )


def run_one(source: SearchSource, task: RunTask, disk: Disk, *, fails: bool) -> None:
    """A trial as its worker would run it: told from its first epoch on, trained from its state."""
    saved = disk.setdefault(task.number, [])
    for epoch in range(1, EPOCHS + 1):
        if epoch > len(saved):
            saved.append(report_of(task, epoch))
        if source.on_epoch(task, saved[epoch - 1]) in {Decision.PRUNE, Decision.PAUSE}:
            return
    if fails:
        source.on_end(task, RunResult(*task.key, failure="a sentence"))
        return
    values = (saved[-1].dev_accuracy, 100 - saved[-1].dev_accuracy)
    source.on_end(task, run_result(Replicate(0, values), scores=SCORES, epochs=EPOCHS))


def source_of(home: Home, spec: StudySpec) -> SearchSource:
    return SearchSource(
        opened(home, spec), spec, checkpoints=str(home.checkpoints(STUDY)), gpus_per_trial=0.0
    )


def to_the_end(home: Home, spec: StudySpec, disk: Disk) -> list[TrialRecord]:
    """Give the command until the study has all its trials."""
    for _ in range(3):
        source = source_of(home, spec)
        while (task := source.next()) is not None:
            fails = task.number == FAILING and spec.sampler != "grid"
            run_one(source, task, disk, fails=fails)
    return [replace(trial, ended=None) for trial in opened(home, spec).trials()]


def saved_by(home: Home, spec: StudySpec, *, ahead: int) -> Disk:
    """What the trials had saved when their driver died; ``ahead``: epochs it had not heard of."""
    disk: Disk = {}
    source = source_of(home, spec)
    for trial in opened(home, spec).trials():
        heard = len(trial.epochs)
        more = range(heard + 1, min(EPOCHS, heard + ahead) + 1)
        waits = trial.stopped_at is not None or trial.paused_at is not None
        if trial.state is not TrialState.RUNNING or waits:
            more = range(0)
        task = source._task(trial) if more else None
        disk[trial.number] = list(trial.epochs)
        disk[trial.number] += [report_of(task, epoch) for epoch in more if task is not None]
    return disk


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here, and hundreds of studies are written."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.parametrize(
    "moments", [4, pytest.param(None, marks=[pytest.mark.drill, pytest.mark.timeout(3600)])]
)
@pytest.mark.parametrize(
    ("sampler", "scheduler", "count"),
    [
        ("random", "none", 5),
        ("grid", "none", 7),
        ("random", "mo-asha", 9),
        ("tpe", "mo-asha", 11),
        ("grid", "freeze-thaw", 7),
    ],
)
@pytest.mark.usefixtures("no_fsync")
def test_a_driver_killed_after_any_write_goes_on_to_the_same_study(
    tmp_path: Path, sampler: str, scheduler: str, count: int, moments: int | None
) -> None:
    spec = study_spec(sampler, scheduler, count)
    whole = open_home(tmp_path / "whole")
    expected = to_the_end(whole, spec, {})
    states = [trial.state for trial in expected]
    assert sum(trial.counts for trial in expected) == count
    assert states.count(TrialState.FAILED) == (sampler != "grid")
    if scheduler == "mo-asha":
        assert any(trial.control for trial in expected), "nothing to tell"
        assert any(t.state is TrialState.PRUNED and not t.control for t in expected)
    lines = whole.ledger(STUDY).read_bytes().splitlines(keepends=True)
    # At first TPE draws a trial's values from one stream, in their order: what is left of a trial
    # that was cut off between two of them is drawn otherwise.
    every = [
        n
        for n in range(len(lines))
        if sampler != "tpe" or not (n and draws(lines[n]) and draws(lines[n - 1]))
    ]
    drawn = every if moments is None else random.Random(sampler + scheduler).sample(every, moments)
    for kept, ahead, torn in itertools.product(drawn, (0, 1), (0, 0.5)):
        if moments is not None and (kept + ahead) % 2 != (torn > 0):
            continue
        home = open_home(tmp_path / "cut")
        path = home.ledger(STUDY)
        path.parent.mkdir(parents=True)
        half = lines[kept][: int(torn * len(lines[kept]))]
        path.write_bytes(b"".join(lines[:kept]) + half)
        found = to_the_end(home, spec, saved_by(home, spec, ahead=ahead))
        where = f"after write {kept}, {ahead} ahead, then {lines[kept][:200]!r}"
        assert found == expected, where
        once = {key: n for key, n in writes(home.root, STUDY).items() if ":" in key[1]}
        assert set(once.values()) == {1}, f"an epoch or a verdict was written twice {where}"
        shutil.rmtree(home.root)


def draws(line: bytes) -> bool:
    """Whether a line of the journal is a value drawn for a trial."""
    return bool(json.loads(line)["op_code"] == JournalOperation.SET_TRIAL_PARAM)


def test_a_ledger_on_a_disk_that_filled_goes_on_when_there_is_room(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    spec = study_spec("random", "none", 3)
    storage_ledger = opened(home, spec)
    trial = storage_ledger.ask(spec)
    assert trial is not None
    report = replace(report_of_number(trial.number), epoch=1)
    path = home.ledger(STUDY)
    before = path.read_bytes()
    with largest_file(len(before) + 30), pytest.raises(OSError, match="too large"):
        storage_ledger.record_epoch(trial.number, report)
    # Somebody made room: what closes the study is written after the failure.
    storage_ledger.set_run_ids({trial.number: "run-1"})
    again = opened(home, spec)
    assert again.trial(trial.number).run_id == "run-1"
    assert again.trial(trial.number).epochs == ()
    again.record_epoch(trial.number, report)
    assert opened(home, spec).trial(trial.number).epochs == (report,)


def test_a_worker_without_room_ends_the_study_and_fails_nothing(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    spec = study_spec("random", "none", 3)
    searcher = SourceSearcher(source_of(home, spec), Lease(""))
    task = RunTask.from_config(searcher.suggest("a"))
    searcher.stops("a", event(report_of(task, 1)))
    full = SharedFault("there is no room to write to F; make some")
    with pytest.raises(StudyIncomplete, match="'s1' cannot go on: there is no room to write to F"):
        searcher.stops("a", event(full))
    (trial,) = opened(home, spec).trials()
    assert trial.state is TrialState.RUNNING
    assert trial.failure is None
    assert len(trial.epochs) == 1


def report_of_number(number: int) -> EpochReport:
    accuracy = float(np.random.default_rng(number).uniform(50, 90))
    terms = LossTerms(0.7, 0.7, None, None)
    return EpochReport(1, terms, accuracy, 0.5, 0.5, 16.0, True, 1.0)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: a write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_lock_of_a_writer_that_was_killed_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = open_home(tmp_path / "home")
    spec = study_spec("random", "none", 3)
    opened(home, spec)
    path = home.ledger(STUDY)
    # Optuna's lock of a journal; it asks nobody whether its holder is alive.
    path.with_name(f"{path.name}.lock").symlink_to(path)
    opened(home, spec).ask(spec)
    assert not path.with_name(f"{path.name}.lock").is_symlink()
    assert not caplog.records


def test_a_home_whose_making_was_cut_off_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, _text: str, **_: Any) -> None:
        path.touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            open_home(tmp_path / "home")
    assert open_home(tmp_path / "home").root == tmp_path / "home"


def test_the_same_study_started_twice_is_refused_the_second_time(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    with driver_lock(home, STUDY):
        ended = safr(home.root, *SMALL)
    assert ended.code == 2
    (said,) = ended.err.strip().splitlines()
    assert said.startswith(f"error: study: '{STUDY}' is being run by another process")


@pytest.fixture
def closing(planted: FinishedStudy, tmp_path: Path) -> Path:
    """A home whose driver was killed after its last trial, before anything was closed."""
    home = tmp_path / "home"
    shutil.copytree(planted.home, home)
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    for run in runs(home, STUDY):
        client.update_run(run.info.run_id, status="RUNNING")
    found = ledger(home, STUDY)
    assert found is not None
    scratch = home / "ray" / found.uid / "tune"
    scratch.mkdir(parents=True)
    (scratch / "tuner.pkl").write_bytes(b"\x80\x04.")
    folder = open_home(home).checkpoints(found.uid) / "00002"
    for name in ("state", ".model-0123456789abcdef"):
        (folder / name).mkdir()
        (folder / name / "weights.safetensors").write_bytes(b"half")
    return home


def test_a_study_killed_while_it_was_closed_is_closed_by_the_next_start(
    planted: FinishedStudy, closing: Path
) -> None:
    assert {run.info.status for run in runs(closing, STUDY)} == {"RUNNING"}
    ended = safr(closing, *planted.command)
    assert ended.code == 0, ended.err
    assert {run.info.status for run in runs(closing, STUDY)} == {"FINISHED"}
    assert len(runs(closing, STUDY)) == TRIALS + 1
    assert [numbers(t) for t in trials(closing, STUDY)] == [
        numbers(t) for t in trials(planted.home, STUDY)
    ]
    assert pickles(closing) == []


def test_a_fresh_start_closes_the_runs_that_a_killed_driver_left_open(
    planted: FinishedStudy, closing: Path
) -> None:
    orphans = {run.info.run_id for run in runs(closing, STUDY)}
    ended = safr(closing, *planted.command, "--trials", "1", "--epochs", "1", "--fresh")
    assert ended.code == 0, ended.err
    statuses = {run.info.run_id: run.info.status for run in runs(closing, STUDY)}
    assert len(statuses) == len(orphans) + 2
    assert "RUNNING" not in statuses.values()


def test_a_finished_model_cut_in_half_is_one_sentence(
    planted: FinishedStudy, closing: Path
) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{closing / 'mlflow.db'}")
    client.delete_registered_model("safr-planted")
    # The ledger of the copy names the models of the original.
    path = open_home(closing).ledger(STUDY)
    path.write_text(path.read_text("utf-8").replace(str(planted.home), str(closing)), "utf-8")
    models = list((closing / "checkpoints").rglob("weights.safetensors"))
    for weights in models:
        os.truncate(weights, weights.stat().st_size // 2)
    ended = safr(closing, *planted.command)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    said = ended.err.strip().splitlines()[-1]
    assert said.startswith("error: checkpoint: ")
    assert str(closing) in said


@pytest.mark.drill
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes as Linux does")
def test_driver_and_worker_killed_for_real(planted: FinishedStudy, tmp_path: Path) -> None:
    home = tmp_path / "home"
    # Random search: the first of many trials are those of a study of few.
    expected = [numbers(trial) for trial in trials(planted.home, STUDY)[:FEW]]
    command = [*planted.command, "--trials", str(FEW)]
    leader = killed_in_trial(home, command)
    # Ray's two agents give their head a minute to come back.
    left = [process for process in of_session(leader) if "Agent" not in process.command]
    assert "RUNNING" in {run.info.status for run in runs(home, STUDY)}
    done = [t.number for t in trials(home, STUDY) if t.state is TrialState.COMPLETE]
    assert 0 < len(done) < FEW
    process = subprocess.Popen(
        command_line(*command),
        env=environment(home),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stderr is not None
        killed = False
        for line in process.stderr:
            if line.startswith("trial ") and not killed:
                killed = any(worker.kill() for worker in trial_processes(process.pid)[:1])
    assert killed
    assert process.returncode == 0
    found = trials(home, STUDY)
    assert [numbers(trial) for trial in found] == expected
    for trial in found:
        assert trial.checkpoint is not None
        assert verify_model(Path(trial.checkpoint.uri)) == trial.checkpoint
    epochs = {key: times for key, times in writes(home, STUDY).items() if "epoch:" in key[1]}
    assert set(epochs.values()) == {1}, "no epoch is trained again once it was heard of"
    tracked = runs(home, STUDY)
    assert {run.info.status for run in tracked} == {"FINISHED"}
    assert sum(map(is_trial, tracked)) == FEW
    assert pickles(home) == []
    assert wait_for_end(left, 60) == [], "a killed driver leaves processes behind"


def killed_in_trial(home: Path, command: Any) -> int:
    """Start a study and kill its driver when the third trial has ended."""
    with subprocess.Popen(
        command_line(*command),
        env=environment(home),
        cwd=home.parent,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("trial 2 "):
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    return process.pid
