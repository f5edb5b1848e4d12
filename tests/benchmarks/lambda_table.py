"""Train the table: every pair of lambdas of a grid, under some seeds, measured after each epoch.

    PYTHONPATH=tests python -m benchmarks.lambda_table --help

Each finished training is a line of the output file and never paid for twice; an interrupted one
goes on after its last whole epoch.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from benchmarks.curves import LEVELS, Pair
from benchmarks.result_lines import append_line, write_alone
from benchmarks.table_lines import COARSE, TableLine, read_lines
from safr_study.data import EncodedCorpus, encoded_corpus, slugify
from safr_study.errors import BadInput, TrialFailure
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    ModelShape,
    Penalties,
    TrainConfig,
    at_k,
    fingerprint_of,
    wanted,
)

if TYPE_CHECKING:
    import torch

    from safr_study.model import SafrClassifier
    from safr_study.training.loop import Measure

SEEDS = 2
EPOCHS = 12
"""Runs with early stopping (patience 3) took 11.6 on average on the treebank's sentences."""
OBJECTIVES = ("accuracy", "srs@30")
SHARE = 0.3
RUNG_TEXTS = (400, 200, 100)
"""Sizes of a rung's subsample, all measured at once: one has part of the larger one's texts."""
_OF_A_RUN = ("shape", "penalties", "seed", "epochs")
"""Settings of the training that a line has by themselves."""
_LOG = logging.getLogger("lambda-table")
_RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


@dataclass(frozen=True, slots=True)
class Run:
    """One training of the table."""

    corpus: CorpusSpec
    train: TrainConfig
    folder: Path
    """For its running state, and for the cache of the corpus."""

    @property
    def pair(self) -> Pair | None:
        """Its lambdas; ``None`` without VMASK."""
        weights = self.train.penalties
        if weights.lambda_imp is None or weights.lambda_inter is None:
            return None
        return weights.lambda_imp, weights.lambda_inter

    @property
    def state(self) -> Path:
        """Folder of its running state, of these very settings and measurements."""
        settings = [
            self.train.model_dump(mode="json"),
            self.corpus.model_dump(mode="json"),
            RUNG_TEXTS,
        ]
        return self.folder / "states" / fingerprint_of(settings)[:16]

    @property
    def label(self) -> str:
        """For people."""
        pair = "no VMASK" if self.pair is None else "lambda ({:g}, {:g})".format(*self.pair)
        return f"{pair}, seed {self.train.seed}"


def pairs_in_order(levels: Sequence[float] = LEVELS) -> list[Pair | None]:
    """The grid, so that a beginning of it is useful: no VMASK, the coarse grid, then the rest."""
    coarse = [level for level in levels if level in COARSE]
    first = [(imp, inter) for imp in coarse for inter in coarse]
    rest = [(imp, inter) for imp in levels for inter in levels if (imp, inter) not in first]
    return [None, *first, *rest]


def config_of(pair: Pair | None, seed: int, epochs: int) -> TrainConfig:
    """The training of the space ``lambda`` at this pair, without early stopping."""
    imp, inter = pair or (None, None)
    return TrainConfig(
        shape=ModelShape(vmask=pair is not None),
        penalties=Penalties(lambda_imp=imp, lambda_inter=inter),
        epochs=epochs,
        patience=epochs,
        seed=seed,
    )


def measurer(corpus: EncodedCorpus, evaluation: EvaluationConfig, device: torch.device) -> Measure:
    """What is measured after each epoch, as a trial would, on all of dev and on the rungs' texts.

    Returns:
        For ``fit``: the dominant share, then accuracy and SRS of dev and of each of ``RUNG_TEXTS``.
    """
    # torch is slow to import: only the processes that train pay for it.
    from safr_study.evaluation.deletion import sample_rows
    from safr_study.evaluation.scoring import evaluate_model

    dev = corpus.dev
    parts = [np.arange(dev.examples)]
    parts += [sample_rows(dev.examples, size, evaluation.seed) for size in RUNG_TEXTS]

    def measure(model: SafrClassifier, _epoch: int) -> tuple[float, ...]:
        measured = evaluate_model(
            model,
            dev,
            split_name="dev",
            config=evaluation,
            want=wanted(OBJECTIVES),
            preset="masked",
            device=device,
        )
        full = measured.full == dev.labels
        top = measured.deleted[SHARE].top == dev.labels
        numbers = [measured.scores.value(at_k("dominant_share", SHARE))]
        for rows in parts:
            accuracy = 100 * float(np.mean(full[rows]))
            numbers += [accuracy, accuracy - 100 * float(np.mean(top[rows]))]
        return tuple(round(number, 6) for number in numbers)

    return measure


def train_run(run: Run) -> TableLine:
    """Train and measure, going on where an earlier process stopped."""
    from safr_study.features.study_base.provenance import provenance
    from safr_study.training import fit, pick_device

    corpus = encoded_corpus(run.corpus, run.folder / "corpora")
    evaluation = EvaluationConfig()
    device = pick_device(1.0)

    def command_lives(_: object) -> None:
        command = multiprocessing.parent_process()
        if command is not None and not command.is_alive():
            raise SystemExit("the command that wanted this training is gone")

    run.state.mkdir(parents=True, exist_ok=True)
    # One that outlived its command may still be in its last epoch: one at a time trains here.
    with FileLock(run.state / "lock"):
        fitted = fit(
            run.train,
            corpus,
            device=device,
            resume_from=run.state / "running",
            on_epoch=command_lives,
            measure=measurer(corpus, evaluation, device),
        )
    columns = list(zip(*(report.objectives or () for report in fitted.epochs), strict=True))
    facts = provenance(corpus.fingerprint, device=str(device))
    train = run.train.model_dump(mode="json", exclude_defaults=True)
    return TableLine(
        dataset=run.corpus.dataset,
        corpus=corpus.fingerprint,
        limits={"train": run.corpus.train_limit, "dev": run.corpus.dev_limit},
        majority_accuracy=corpus.dev.majority_accuracy,
        preset=run.train.preset,
        pair=run.pair,
        seed=run.train.seed,
        epochs=len(fitted.epochs),
        train={name: train[name] for name in train if name not in _OF_A_RUN},
        evaluation=evaluation.model_dump(mode="json", exclude_defaults=True),
        rung_texts=RUNG_TEXTS,
        loss=tuple(round(report.dev_loss, 6) for report in fitted.epochs),
        accuracy=columns[1],
        srs=columns[2],
        dominant_share=columns[0],
        rung_accuracy=tuple(columns[3::2]),
        rung_srs=tuple(columns[4::2]),
        seconds=tuple(round(report.seconds, 1) for report in fitted.epochs),
        device=facts.device,
        versions=facts.versions,
    )


def missing(runs: Sequence[Run], lines: Sequence[TableLine]) -> list[Run]:
    """Those that the file lacks, in their order.

    Raises:
        BadInput: the file is of other settings.
    """
    for line in lines[:1]:
        run = runs[0]
        theirs = (line.dataset, line.epochs, *line.limits.values(), line.rung_texts)
        limits = (run.corpus.train_limit, run.corpus.dev_limit)
        ours = (run.corpus.dataset, run.train.epochs, *limits, RUNG_TEXTS)
        if theirs != ours:
            raise BadInput(
                "out",
                "it holds trainings of other settings (data set, epochs, limits, texts of rungs: "
                f"{theirs}, not {ours}); give another file, or the settings of this one",
            )
    done = {(line.pair, line.seed) for line in lines}
    return [run for run in runs if (run.pair, run.train.seed) not in done]


def train_all(runs: Sequence[Run], out: Path, *, processes: int) -> Iterator[tuple[Run, TableLine]]:
    """Train what is missing; each is appended to the file as it ends.

    Ctrl-C ends at once: what was finished is in the file, the rest in the running states.
    """
    # A fork would copy this process with whatever torch had begun.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_silent) as pool:
        try:
            pending = {pool.submit(train_run, run): run for run in runs}
            for future in as_completed(pending):
                run = pending[future]
                try:
                    line = future.result()
                except TrialFailure as failure:
                    _LOG.error(f"{run.label} failed, and is left out: {failure}")
                    continue
                append_line(out, line.to_text())
                shutil.rmtree(run.state, ignore_errors=True)
                yield run, line
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _silent() -> None:
    # The command ends its processes itself; on Ctrl-C they would each show a trace.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="lambda_table", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--dataset", default="sst2-treebank")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of every training")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--pairs", type=int, help="only the first so many of the grid")
    parser.add_argument("--max-concurrent", type=int, default=1, help="processes, a thread each")
    parser.add_argument("--train-limit", type=int)
    parser.add_argument("--dev-limit", type=int)
    parser.add_argument("--out", type=Path, help="the table; needed where data are limited")
    parser.add_argument("--scratch", type=Path, default=Path(".safr-study") / "lambda-table")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Train what the table lacks; 130 when it was interrupted."""
    args = _arguments(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # `kill` ends it as Ctrl-C does; a job in the background would ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    out = args.out or _RESULTS / f"lambda-table-{slugify(args.dataset)}.jsonl"
    limited = (args.train_limit or args.dev_limit) and args.out is None
    refused = "limited data do not belong into the table; give a file" if limited else None
    return write_alone(out, partial(_train_missing, args, out), _LOG, refused=refused)


def _train_missing(args: argparse.Namespace, out: Path) -> None:
    corpus = CorpusSpec(
        dataset=args.dataset, train_limit=args.train_limit, dev_limit=args.dev_limit
    )
    runs = [
        Run(corpus, config_of(pair, seed, args.epochs), args.scratch.resolve())
        for seed in range(args.seeds)
        for pair in pairs_in_order()[: args.pairs]
    ]
    left = missing(runs, read_lines(out))
    _LOG.info(f"{len(runs) - len(left)} of {len(runs)} trainings are done")
    began = time.monotonic()
    ended = train_all(left, out, processes=args.max_concurrent)
    for number, (run, line) in enumerate(ended, start=1):
        hours = (time.monotonic() - began) / number * (len(left) - number) / 3600
        _LOG.info(
            f"{run.label}: best accuracy {max(line.accuracy):.2f}, last SRS(30) "
            f"{line.srs[-1]:.2f}, {sum(line.seconds):.0f} s; {len(left) - number} left, "
            f"about {hours:.1f} h"
        )


if __name__ == "__main__":
    sys.exit(main())
