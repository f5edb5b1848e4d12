"""What the driver spends on each trial as a study grows: searcher, scheduler, ledger, MLflow.

    PYTHONPATH=tests python -m benchmarks.driver_load --help

All is the real thing but Ray and the trainings: a loop in virtual time takes Ray's place, and a
table of made-up curves the workers'. An epoch takes one unit of time. The seconds are the CPU's in
the driver's own thread, so that neither other processes nor MLflow's writer, which has a thread of
its own, nor the disk are counted; the wall time is kept beside them.
"""

from __future__ import annotations

import argparse
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.executor import History, drive
from benchmarks.measured import Measured, report
from benchmarks.searches import Lookup
from benchmarks.synthetic import SyntheticTable
from safr_study.cli.progress import Reporter
from safr_study.cluster.slots import TrialSlots
from safr_study.features.search.plan import StudyPlan
from safr_study.features.study_base.cost import Cost
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.storage import open_storage
from safr_study.records import EpochReport, Provenance
from safr_study.records.run import RunResult
from safr_study.runner.source import SearchSource
from safr_study.runner.task import RunTask
from safr_study.sampling.asha import Decision
from safr_study.settings import CorpusSpec, SamplerName, StudySpec, TrainConfig
from safr_study.settings.space_files import find_space
from safr_study.tracking import writer as writer_module
from safr_study.tracking.store import open_store
from safr_study.tracking.study_runs import TrackedStudy
from safr_study.tracking.writer import StudyWriter

EPOCHS = 9
LOOK_SECONDS = 0.2
_FINGERPRINT = "0" * 64


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one trial, in the driver."""

    cpu: float
    """Seconds of the driver's thread."""
    wall: float


class ClockedSource(SearchSource):
    """Notes what every trial costs, from its ask to its end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.spent: dict[int, Spent] = {}
        self.waiting: Callable[[], int] = lambda: 0
        self.deepest = 0
        """Of the writer's queue."""

    def next(self) -> RunTask | None:
        wall, cpu = time.perf_counter(), time.thread_time()
        task = super().next()
        if task is not None:
            self._note(task, wall, cpu)
        return task

    def on_epoch(self, task: RunTask, report: EpochReport) -> Decision:
        wall, cpu = time.perf_counter(), time.thread_time()
        decision = super().on_epoch(task, report)
        self._note(task, wall, cpu)
        return decision

    def on_end(self, task: RunTask, result: RunResult) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        super().on_end(task, result)
        self._note(task, wall, cpu)

    def _note(self, task: RunTask, wall: float, cpu: float) -> None:
        before = self.spent.get(task.number, Spent(0.0, 0.0))
        self.spent[task.number] = Spent(
            before.cpu + time.thread_time() - cpu, before.wall + time.perf_counter() - wall
        )
        self.deepest = max(self.deepest, self.waiting())


@dataclass(frozen=True, slots=True)
class Load:
    """How a study of made-up trainings went."""

    spent: tuple[Spent, ...]
    """By trial, in the order of their asks."""
    deepest: int
    """Runs that waited at once for MLflow's writer."""
    states: dict[str, int]
    closing: float
    """Seconds that MLflow's writer needed after the last trial; 0 without it."""

    def growth(self, early: slice, late: slice, *, wall: bool = False) -> float:
        """The median cost of a trial among the late ones, against that of the early ones."""
        values = [one.wall if wall else one.cpu for one in self.spent]
        return statistics.median(values[late]) / statistics.median(values[early])

    def median(self, part: slice, *, wall: bool = False) -> float:
        """Seconds."""
        return statistics.median(one.wall if wall else one.cpu for one in self.spent[part])


def run_load(
    trials: int, concurrent: int, folder: Path, *, sampler: SamplerName = "tpe", track: bool = True
) -> Load:
    """Run a study to its end.

    Args:
        trials: of the study.
        concurrent: at once.
        folder: empty, for the home.
        sampler: of the study.
        track: whether MLflow, with an SQLite file, gets every trial; else nobody does.
    """
    home = open_home(folder)
    spec = StudySpec(
        name="load",
        corpus=CorpusSpec(dataset="planted"),
        space=find_space("lambda"),
        trials=trials,
        sampler=sampler,
        train=TrainConfig(epochs=EPOCHS, patience=EPOCHS),
    )
    table = SyntheticTable(epochs=EPOCHS)
    storage = open_storage(home, None, spec.name, create=True)
    assert storage is not None
    facts = StudyFacts(_FINGERPRINT, "planted", table.reference, {})
    ledger = Ledger.create(storage, spec, facts)
    progress = Reporter(Console(file=io.StringIO(), width=100))
    progress.planned(_plan(spec, concurrent, table.reference), [])
    history = History(table.reference)
    writer = _writer(home.root, spec, ledger) if track else None
    observers = [history, progress, *([writer] if writer else [])]
    searcher = ClockedSource(
        ledger,
        spec,
        checkpoints=str(folder / "checkpoints"),
        gpus_per_trial=0.0,
        observers=observers,
    )
    if writer is not None:
        searcher.waiting = lambda: writer.waiting
    drive(searcher, Lookup(table, "trial"), workers=concurrent, enough=lambda: False)
    began = time.perf_counter()
    missing = writer.finish(patience=600.0, limit=3600.0) if writer is not None else None
    if missing is not None:
        raise RuntimeError(missing)
    return Load(
        spent=tuple(searcher.spent[name] for name in sorted(searcher.spent))[:trials],
        deepest=searcher.deepest,
        states=history.states,
        closing=time.perf_counter() - began,
    )


def _writer(root: Path, spec: StudySpec, ledger: Ledger) -> StudyWriter:
    provenance = Provenance(None, {}, _FINGERPRINT, "none")
    writer = StudyWriter(
        open_store(open_home(root)), TrackedStudy(ledger.uid, "planted", spec, provenance)
    )
    # Trials take no time here: the writer's looks come as close, so that it is at work throughout.
    writer_module.LOOK_SECONDS = LOOK_SECONDS
    writer.start()
    return writer


def _plan(spec: StudySpec, concurrent: int, reference: tuple[float, ...]) -> StudyPlan:
    return StudyPlan(
        spec=spec,
        corpus="made-up curves",
        unknown=0.0,
        trials=spec.trials,
        done=0,
        unfinished=0,
        reference_point=reference,
        slots=TrialSlots(1.0, 0.0, concurrent, float(concurrent), 0.0),
        cost=Cost(0.0, 0, 0, 0, 0.0),
    )


def measure(
    trials: int, concurrent: int, late: slice, *, bound: float, sampler: SamplerName, track: bool
) -> list[Measured]:
    """The lines of one size."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as name:
        load = run_load(trials, concurrent, Path(name), sampler=sampler, track=track)
    early = slice(100, 600)
    title = f"driver, {trials:,} trials, {concurrent} at once, {sampler}"
    facts = {
        "early_cpu_ms": round(1000 * load.median(early), 2),
        "late_cpu_ms": round(1000 * load.median(late), 2),
        "early_wall_ms": round(1000 * load.median(early, wall=True), 2),
        "late_wall_ms": round(1000 * load.median(late, wall=True), 2),
        "wall_ratio": round(load.growth(early, late, wall=True), 3),
        "states": load.states,
        "writer_closing_s": round(load.closing, 1),
    }
    lines = [
        Measured(
            f"{title}: cost of trials {late.start:,}-{late.stop:,} against 100-600",
            load.growth(early, late),
            "ratio",
            bound,
            facts=facts,
        ),
        Measured(f"{title}: cost of a late trial", 1000 * load.median(late), "ms"),
    ]
    if track:
        lines.append(Measured(f"{title}: runs waiting for MLflow", load.deepest, "trials"))
    return lines


def in_memory() -> str | None:
    """A folder in memory: what is measured is the driver, not the disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="driver_load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--concurrent", type=int, default=4)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--no-mlflow", action="store_true", help="leave MLflow's writer out")
    args = parser.parse_args(given)
    logging.basicConfig(level=logging.WARNING)
    late = slice(args.trials - 500, args.trials)
    report(
        measure(
            args.trials,
            args.concurrent,
            late,
            bound=1.5,
            sampler=args.sampler,
            track=not args.no_mlflow,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
