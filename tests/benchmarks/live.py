"""The four searches live on the planted corpus: small models, really trained.

    PYTHONPATH=tests python -m benchmarks.live --help

The trainings are those of a Ray worker (``runner.worker.train_run``), one epoch at a time: after
each the trial is left in its running state on disk, and goes on from there. So trials at once share
one process, in virtual time, and a stopped trial costs no epoch more than it was given. The target
is 95 % of the hypervolume of a grid, trained under the study's own seed.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.curves import Vector
from benchmarks.kept import code, keep_search, kept_searches
from benchmarks.searches import BASE, METHODS, Method, Search, search, study_spec
from benchmarks.summary import markdown, summarise
from benchmarks.written import AT, write_results
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.pareto import hypervolume
from safr_study.records import EpochReport
from safr_study.records.run import RunResult
from safr_study.runner.task import EVENT, RunTask, read_event
from safr_study.runner.worker import train_run
from safr_study.settings import (
    CorpusSpec,
    SchedulerConfig,
    StudySpec,
    TrainConfig,
    Value,
    fingerprint_of,
    trial_config,
)
from safr_study.settings.space_files import find_space

CORPUS = CorpusSpec(dataset="planted", train_limit=600, dev_limit=400)
GRID = (0.0, 0.001, 0.0056, 0.032, 0.18, 1.0)
"""Levels of both lambdas: none, and the range of the space ``smoke`` in equal steps."""
EPOCHS = 9
_LOG = logging.getLogger("live")


class _Paused(Exception):
    """A trial reported an epoch, and is left there."""

    def __init__(self, report: EpochReport) -> None:
        super().__init__()
        self.report = report


class LiveTrainer:
    """A trainer that trains."""

    def __init__(self, corpus: EncodedCorpus) -> None:
        self._corpus = corpus
        self._done: dict[int, int] = {}

    def step(self, task: RunTask) -> EpochReport | RunResult:
        def pause(event: dict[str, str]) -> None:
            report = read_event(event[EVENT])
            # A trial that goes on reports its earlier epochs again.
            if isinstance(report, EpochReport) and report.epoch > self._done.get(task.number, 0):
                self._done[task.number] = report.epoch
                raise _Paused(report)

        try:
            return train_run(task, self._corpus, pause)
        except _Paused as paused:
            return paused.report


@dataclass(frozen=True, slots=True)
class LiveSetup:
    """What all searches share."""

    epochs: int
    cap: int
    """In full trainings."""
    scheduler: SchedulerConfig
    corpus: CorpusSpec = CORPUS
    grid: tuple[float, ...] = GRID
    workers: int = 2

    @property
    def key(self) -> str:
        """Of everything that decides a search but method and seed."""
        packages = ("data", "evaluation", "model", "pareto", "settings", "study", "training")
        return fingerprint_of(
            [
                [self.epochs, self.cap, list(self.grid), self.workers],
                self.scheduler.model_dump(mode="json"),
                self.corpus.model_dump(mode="json"),
                code(*packages),
            ]
        )

    @property
    def train(self) -> TrainConfig:
        """Without early stopping by patience: what is stopped, the scheduler stops."""
        return TrainConfig(epochs=self.epochs, patience=self.epochs)


def live_searches(setup: LiveSetup, seed: int, lines: Path | None = None) -> list[Search]:
    """All methods under one seed, against the grid of that seed."""
    key = setup.key
    kept = kept_searches(lines, key) if lines is not None else {}
    known = {method: one for (method, of), one in kept.items() if of == seed}
    if len(known) == len(METHODS):
        return [known[method.key] for method in METHODS]
    corpus = encoded_corpus(setup.corpus)
    reference = (corpus.dev.majority_accuracy, 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        best = next((one.best for one in known.values()), None)
        if best is None:
            best = hypervolume(grid_ends(setup, seed, corpus, folder), reference)
        found = []
        for method in METHODS:
            if method.key in known:
                found.append(known[method.key])
                continue
            one = search(
                _spec(setup, seed, method),
                method,
                LiveTrainer(corpus),
                best=best,
                reference=reference,
                workers=setup.workers,
                folder=folder / method.key,
            )
            found.append(one)
            if lines is not None:
                keep_search(lines, key, one)
            _LOG.info(f"{one.method}, seed {one.seed}: {one.epochs} epochs")
            shutil.rmtree(folder / method.key, ignore_errors=True)
    return found


def grid_ends(setup: LiveSetup, seed: int, corpus: EncodedCorpus, folder: Path) -> list[Vector]:
    """Final objectives without VMASK and of every pair of the grid."""
    spec = _spec(setup, seed, BASE)
    points: list[dict[str, Value]] = [{"vmask": False}]
    points += [{"lambda_imp": a, "lambda_inter": b} for a in setup.grid for b in setup.grid]
    return [
        _trained(spec, {**spec.space.fixed, **point}, corpus, folder / "grid").replicates[0].values
        for point in points
    ]


def _trained(
    spec: StudySpec, values: dict[str, Value], corpus: EncodedCorpus, folder: Path
) -> RunResult:
    task = RunTask(
        number=0,
        train=trial_config(spec.train, values, seed=spec.seed),
        corpus=spec.corpus,
        evaluation=spec.evaluation,
        objectives=spec.objectives,
        folder=str(folder),
        gpus=0.0,
    )
    done = train_run(task, corpus, lambda _event: None)
    shutil.rmtree(folder, ignore_errors=True)
    return done


def _spec(setup: LiveSetup, seed: int, method: Method) -> StudySpec:
    return study_spec(
        method,
        seed,
        space=find_space("smoke"),
        train=setup.train,
        scheduler=setup.scheduler,
        cap=setup.cap * setup.epochs,
        corpus=setup.corpus,
    )


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="live", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--out",
        type=Path,
        help="common path of the results, without a suffix; finished searches, which are not run "
        "again, in the .jsonl",
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of a full training")
    parser.add_argument("--cap", type=int, default=60, help="full trainings until it is given up")
    parser.add_argument("--processes", type=int, default=1, help="seeds at once, a thread each")
    return parser.parse_args(given)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def main(given: Sequence[str] | None = None) -> int:
    """Search, compare and write."""
    args = _arguments(given)
    _log_to_stderr()
    scheduler = SchedulerConfig()
    setup = LiveSetup(epochs=args.epochs, cap=args.cap, scheduler=scheduler)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        args.processes, mp_context=context, initializer=_log_to_stderr
    ) as pool:
        lines = None if args.out is None else args.out.with_suffix(".jsonl")
        of_seeds = pool.map(partial(live_searches, setup, lines=lines), range(args.seeds))
        searches = [one for of_seed in of_seeds for one in of_seed]
    sys.stdout.write(markdown(summarise(searches, at=AT * setup.epochs)))
    if args.out is not None:
        write_results(
            searches,
            out=args.out,
            title="Epochs to 95 % of the best front: planted, live",
            about=_ABOUT.format(
                texts=setup.corpus.train_limit, levels=len(setup.grid), workers=setup.workers
            ),
            scheduler=scheduler,
            epochs=setup.epochs,
            until=AT,
            facts={"corpus": setup.corpus.model_dump(mode="json", exclude_defaults=True)},
        )
    return 0


_ABOUT = """The planted corpus ({texts} training texts), the small model of the space `smoke`, each
trial really trained as on a Ray worker, {workers} at once in virtual time. The best is that of a
grid of {levels} x {levels} pairs of lambdas and the model without VMASK, trained under the same
seed. A search has arrived when the hypervolume of its complete trials is 95 % of the best."""


if __name__ == "__main__":
    sys.exit(main())
