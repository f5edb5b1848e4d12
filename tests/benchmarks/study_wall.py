"""What a study takes beside its trainings: the wall time of the command against bare trainings.

    SAFR_STUDY_DATA=... PYTHONPATH=tests python -m benchmarks.study_wall --help

The command runs as a user runs it. Then the same trials, of as many epochs as they had, are trained
and measured once more in plain processes, as many at once: no Ray, ledger, MLflow or checkpoint.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.measured import Measured, report
from safr_study.data import encoded_corpus
from safr_study.features.study_base.results import load_ledger
from safr_study.features.study_base.stores import stores
from safr_study.home import Home, open_home
from safr_study.records import TrialRecord, TrialState
from safr_study.settings import StudySpec, trial_config

NAME = "wall"
START_SECONDS = 15.0
SHARE = 1.10


@dataclass(frozen=True, slots=True)
class Run:
    """One study by the command."""

    seconds: float
    """From its start to its end."""
    first_step: float
    """From its start to the first training step."""
    trials: tuple[TrialRecord, ...]
    spec: StudySpec


def run_command(home: Home, given: Sequence[str]) -> Run:
    """Run ``safr-study search``, and read its ledger."""
    command = [sys.executable, "-m", "safr_study", "search", "--study", NAME, *given]
    command += ["--home", str(home.root), "--quiet"]
    began = time.perf_counter()
    first: list[float] = []
    watch = threading.Thread(target=_watch, args=(home.ledger(NAME), first), daemon=True)
    watch.start()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    watch.join()
    ledger = load_ledger(NAME, stores(home))
    trials = ledger.trials()
    earliest = min((t for t in trials if t.epochs), key=lambda t: t.number)
    return Run(seconds, first[0] - began - earliest.epochs[0].seconds, tuple(trials), ledger.spec)


def _watch(journal: Path, first: list[float]) -> None:
    """Note when the first epoch is in the ledger."""
    while not first:
        time.sleep(0.05)
        if journal.exists() and b'"epoch:00001"' in journal.read_bytes():
            first.append(time.perf_counter())


def bare_seconds(run: Run, processes: int, folder: Path) -> list[float]:
    """Of each trial, trained and measured alone in a process beside the others."""
    todo = [t for t in run.trials if t.epochs]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        # The imports and the data before the clock runs, on each process.
        list(pool.map(partial(_warm, run.spec, folder), range(processes), chunksize=1))
        return list(pool.map(partial(_bare, run.spec, folder), todo, chunksize=1))


def _warm(spec: StudySpec, folder: Path, _index: int) -> None:
    import safr_study.evaluation.scoring
    import safr_study.training  # noqa: F401

    encoded_corpus(spec.corpus, folder)
    time.sleep(1.0)  # So that every process gets one of these.


def _bare(spec: StudySpec, folder: Path, trial: TrialRecord) -> float:
    import torch

    from safr_study.evaluation.deletion import sample_texts
    from safr_study.evaluation.scoring import evaluate_model
    from safr_study.model import SafrClassifier
    from safr_study.settings import wanted
    from safr_study.training import computing, fit

    corpus = encoded_corpus(spec.corpus, folder)
    device = torch.device("cpu")
    values = {
        name: value
        for name, value in {**spec.space.fixed, **trial.parameters}.items()
        if value is not None
    }
    config = trial_config(spec.train, values, seed=trial.seed)
    epochs = len(trial.epochs)
    config = config.model_copy(update={"epochs": epochs, "patience": epochs})
    sample = sample_texts(corpus.dev, spec.scheduler.texts, seed=spec.evaluation.seed)
    rungs = spec.scheduler.rungs(spec.train.epochs)
    want = wanted(dict.fromkeys(objective.name for objective in spec.objectives))

    def measured(model: SafrClassifier, epoch: int) -> None:
        if epoch in rungs:
            score(model, sample)

    def score(model: SafrClassifier, split: object) -> None:
        evaluate_model(
            model,
            split,
            split_name="dev",
            config=spec.evaluation,
            want=want,
            preset=config.preset,
            device=device,
        )

    began = time.perf_counter()
    with computing(config.threads):
        fitted = fit(config, corpus, device=device, measure=measured)
        if trial.state is TrialState.COMPLETE:
            score(fitted.model, corpus.dev)
    return time.perf_counter() - began


def measure(given: Sequence[str], concurrent: int) -> list[Measured]:
    """The study, then its bare trainings."""
    with tempfile.TemporaryDirectory() as name:
        home = open_home(Path(name))
        run = run_command(home, [*given, "--max-concurrent", str(concurrent)])
        bare = bare_seconds(run, concurrent, home.corpora)
    shared = sum(bare) / concurrent
    facts = {
        "wall_s": round(run.seconds, 1),
        "bare_sum_s": round(sum(bare), 1),
        "concurrent": concurrent,
        "trials": len(run.trials),
        "stopped": sum(t.state is TrialState.PRUNED for t in run.trials),
        "epochs": sum(len(t.epochs) for t in run.trials),
        "command": " ".join(given),
    }
    title = f"a study of {len(run.trials)} trials on {run.spec.corpus.dataset}"
    return [
        Measured(
            f"{title}: wall time less {START_SECONDS:g} s, against bare trainings / {concurrent}",
            (run.seconds - START_SECONDS) / shared,
            "ratio",
            SHARE,
            facts=facts,
        ),
        Measured(
            f"{title}: wall time",
            run.seconds,
            "s",
            SHARE * shared + START_SECONDS,
            facts=facts,
        ),
        Measured(f"{title}: start to the first training step", run.first_step, "s"),
    ]


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="study_wall", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dataset", default="sst2")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train-limit", type=int, default=1500)
    parser.add_argument("--dev-limit", type=int, default=400)
    parser.add_argument("--full", action="store_true", help="all texts and 20 epochs: an hour")
    parser.add_argument("--concurrent", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args(given)
    command = ["--dataset", args.dataset, "--trials", str(args.trials), "--seed", "0"]
    if not args.full:
        command += ["--epochs", str(args.epochs), "--train-limit", str(args.train_limit)]
        command += ["--dev-limit", str(args.dev_limit)]
    report(measure(command, args.concurrent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
