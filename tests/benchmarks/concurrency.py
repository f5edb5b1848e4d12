"""What a second trial beside the first one costs: trainings in processes of their own.

    SAFR_STUDY_DATA=... PYTHONPATH=tests python -m benchmarks.concurrency --help

Each process trains the same epochs of the same corpus on one thread, as a Ray worker does, once
alone and once beside the others. All begin their measured epochs together, after one that warms up.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.measured import Measured, report
from safr_study.data import encoded_corpus
from safr_study.settings import CorpusSpec, Penalties, TrainConfig

_CONTEXT = multiprocessing.get_context("spawn")
_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Work:
    """What every process does."""

    corpus: CorpusSpec
    epochs: int


def seconds_of(work: Work, processes: int) -> float:
    """Wall time in which so many processes at once do the work each: that of the slowest."""
    barrier = _CONTEXT.Barrier(processes)
    with _CONTEXT.Manager() as manager:
        found: Any = manager.list()
        started = [
            _CONTEXT.Process(target=_train, args=(work, barrier, found)) for _ in range(processes)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join()
        if len(found) < processes:
            raise RuntimeError("a training ended without a time")
        return float(max(found))


def _train(work: Work, barrier: Barrier, found: Any) -> None:
    import torch

    from safr_study.records import EpochReport
    from safr_study.training import fit

    times: list[float] = []

    def on_epoch(report: EpochReport) -> None:
        if report.epoch == 1:
            barrier.wait(_PATIENCE)
        times.append(time.perf_counter())

    epochs = work.epochs + 1
    config = TrainConfig(
        epochs=epochs,
        patience=epochs,
        penalties=Penalties(lambda_imp=1.0, lambda_inter=0.1),
    )
    fit(config, encoded_corpus(work.corpus), device=torch.device("cpu"), on_epoch=on_epoch)
    found.append(times[-1] - times[0])


def measure(work: Work, processes: int, repeats: int) -> list[Measured]:
    """Alone and together in turn, so that a slow drift of the machine meets both."""
    alone, together = [], []
    for _ in range(repeats):
        alone.append(seconds_of(work, 1))
        together.append(seconds_of(work, processes))
    gain = processes * statistics.median(alone) / statistics.median(together)
    facts = {
        "alone_s": [round(one, 2) for one in alone],
        "together_s": [round(one, 2) for one in together],
        "train_texts": work.corpus.train_limit,
        "epochs": work.epochs,
    }
    title = f"{processes} trials of {work.corpus.dataset} at once, a thread each"
    target = 0.9 * processes
    return [Measured(f"{title}: throughput of one", gain, "ratio", target, "at least", facts)]


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="concurrency", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dataset", default="sst2")
    parser.add_argument("--train-limit", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=3, help="measured, after one that warms up")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(given)
    corpus = CorpusSpec(dataset=args.dataset, train_limit=args.train_limit, dev_limit=200)
    report(measure(Work(corpus, args.epochs), args.processes, args.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
