"""Trainings of named models, each measured on test: a line in a file, and never paid for twice."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.measured import machine
from benchmarks.result_lines import append_line, line_of, made_of, parsed_lines, write_alone
from safr_study.data import encoded_corpus, find_encoder
from safr_study.records import Scores
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    TrainConfig,
    Wanted,
    fingerprint_of,
)

SCHEMA = 1
SPLITS = ("train", "dev", "test")
_RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
_LOG = logging.getLogger("trainings")


@dataclass(frozen=True, slots=True)
class Line:
    """One training, measured on test."""

    model: str
    """Name of the model."""
    encoder: str | None
    """Name of the encoder; ``None``: from scratch."""
    encoder_sha256: str | None
    seed: int
    limits: Mapping[str, int | None]
    """At most so many texts of each split."""
    max_len: int
    """Words read of a text; with an encoder its pieces."""
    train: Mapping[str, Any]
    """Settings of the training that are not the default, but for model and seed."""
    epochs: int
    """Trained."""
    best_epoch: int
    """Epoch of the state that was measured."""
    dev_accuracy: float
    """Of that epoch, percentage points."""
    test: Mapping[str, Any]
    """`Scores.to_plain`."""
    seconds: float
    """Wall time of training and measuring."""
    machine: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What makes it the same training as another one."""
        return fingerprint_of([getattr(self, name) for name in KEY])

    @property
    def scores(self) -> Scores:
        """What was measured."""
        return Scores.from_plain(self.test)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of `to_text`.

        Raises:
            ValueError: it is no line of this schema.
        """
        return made_of(cls, line_of(text, SCHEMA))

    def to_text(self) -> str:
        """As one line, without its end."""
        return json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, allow_nan=False)


KEY = ("model", "encoder_sha256", "seed", "limits", "max_len", "train")


@dataclass(frozen=True, slots=True)
class Run:
    """One training that is wanted."""

    model: str
    corpus: CorpusSpec
    train: TrainConfig
    want: Wanted
    """What is measured on test."""
    encoder: str | None
    """Name to show."""
    scratch: Path
    """Folder of running states and of the cached corpus."""

    def measured(self) -> Line:
        """Train and measure, going on where an earlier process stopped."""
        # torch is slow to import: a command with nothing to do does without.
        from safr_study.evaluation.rankings import word_counts
        from safr_study.evaluation.scoring import evaluate_model
        from safr_study.training import computing, fit, pick_device

        corpus = encoded_corpus(self.corpus, self.scratch / "corpora")
        device = pick_device(1.0)
        state = self.scratch / "states" / fingerprint_of(self._facts(corpus.max_len))[:16]
        before = state / "seconds"
        state.mkdir(parents=True, exist_ok=True)
        spent, began = float(before.read_text()) if before.exists() else 0.0, time.perf_counter()

        def said(epoch: Any) -> None:
            before.write_text(str(spent + time.perf_counter() - began))
            _LOG.info(
                f"{self.label}: epoch {epoch.epoch}, dev accuracy {epoch.dev_accuracy:.2f}, "
                f"{epoch.seconds:.0f} s"
            )

        fitted = fit(self.train, corpus, device=device, resume_from=state / "run", on_epoch=said)
        _LOG.info(f"{self.label}: measuring {corpus.split('test').examples} texts of test")
        with computing(self.train.threads):
            scores = evaluate_model(
                fitted.model,
                corpus.split("test"),
                split_name="test",
                config=EvaluationConfig(),
                want=self.want,
                preset=self.train.preset,
                device=device,
                train_counts=word_counts(corpus.train, corpus.vocabulary_size),
                train=corpus.train,
            ).scores
        line = Line(
            **self._facts(corpus.max_len),
            encoder=self.encoder,
            epochs=len(fitted.epochs),
            best_epoch=fitted.best_epoch,
            dev_accuracy=fitted.epochs[fitted.best_epoch - 1].dev_accuracy,
            test=scores.to_plain(),
            seconds=round(spent + time.perf_counter() - began, 1),
            machine=machine(),
        )
        shutil.rmtree(state, ignore_errors=True)
        return line

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.model}, {self.encoder or 'from scratch'}, seed {self.train.seed}"

    def key(self) -> str:
        """As `Line.key`; reads the length of texts from the data."""
        corpus = encoded_corpus(self.corpus, self.scratch / "corpora")
        return fingerprint_of(list(self._facts(corpus.max_len).values()))

    def _facts(self, max_len: int) -> dict[str, Any]:
        """The fields of a line that make it this training, in the order of `KEY`."""
        encoder = self.corpus.encoder
        train = self.train.model_dump(mode="json", exclude_defaults=True)
        limits = {split: getattr(self.corpus, f"{split}_limit") for split in SPLITS}
        left_out = ("seed", "shape", "penalties")
        return {
            "model": self.model,
            "encoder_sha256": None if encoder is None else find_encoder(encoder).sha256,
            "seed": self.train.seed,
            "limits": limits,
            "max_len": max_len,
            "train": {name: value for name, value in train.items() if name not in left_out},
        }


def read_lines(path: Path) -> list[Line]:
    """The trainings of a file.

    Raises:
        BadInput: a line that is not the torn last one cannot be read.
    """
    return parsed_lines(path, Line.from_text, field="out")


def limited(line: Line) -> str:
    """`` (2000 train texts)``; empty for whole data."""
    limits = [f"{count} {name}" for name, count in line.limits.items() if count is not None]
    return f" ({', '.join(limits)} texts)" if limits else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Named models that are trained on one data set and measured on test, as a command."""

    name: str
    """Stem of its files under ``docs/results``, and name of its folder of running states."""
    dataset: str
    models: Mapping[str, Mapping[str, Any]]
    """Settings of each model, as of `TrainConfig`."""
    fine_tuning: Mapping[str, Any]
    """More of them with an encoder."""
    want: Wanted
    """What is measured."""
    markdown: Callable[[Sequence[Line]], str]
    """The tables of all lines."""
    from_scratch: Sequence[str] = ()
    """Models that are trained without an encoder where none is named; empty: all."""
    over_encoder: Sequence[str] = ()
    """The same with one."""

    def arguments(self, given: Sequence[str] | None, description: str = "") -> argparse.Namespace:
        """The command's options."""
        parser = argparse.ArgumentParser(prog=self.name, description=description.split("\n")[0])
        parser.add_argument("--encoder", help="folder or hub id; else from scratch")
        parser.add_argument("--encoder-name", help="name in the tables; else that of the folder")
        parser.add_argument("--models", nargs="+", choices=list(self.models))
        parser.add_argument("--seeds", type=int, nargs="+", default=[0])
        parser.add_argument("--epochs", type=int, help="most; else 3 with an encoder, 20 without")
        size = self.fine_tuning.get("batch_size", 32)
        parser.add_argument(
            "--batch-size", type=int, help=f"else {size} with an encoder, 32 without"
        )
        parser.add_argument("--precision", choices=["float32", "bfloat16"], help="of training")
        parser.add_argument("--threads", type=int, default=1)
        for split in SPLITS:
            parser.add_argument(f"--{split}-limit", type=int)
        parser.add_argument("--out", type=Path, help="the lines; needed where data are limited")
        scratch = Path(".safr-study") / self.name
        parser.add_argument("--scratch", type=Path, default=scratch)
        parser.add_argument("--render", action="store_true", help="make the tables alone")
        return parser.parse_args(given)

    def runs(self, args: argparse.Namespace) -> list[Run]:
        """The trainings that were asked for, seed by seed.

        Raises:
            BadInput: an encoder that cannot be used.
        """
        limits = {f"{split}_limit": getattr(args, f"{split}_limit") for split in SPLITS}
        corpus = CorpusSpec(dataset=self.dataset, encoder=args.encoder, **limits)
        asked = {n: getattr(args, n) for n in ("epochs", "batch_size", "threads", "precision")}
        settings = {} if args.encoder is None else dict(self.fine_tuning)
        settings |= {name: value for name, value in asked.items() if value is not None}
        usual = self.from_scratch if args.encoder is None else self.over_encoder
        name = None
        if args.encoder is not None:
            name = args.encoder_name or Path(args.encoder).resolve().name
        return [
            Run(
                model,
                corpus,
                TrainConfig.parse({**settings, **self.models[model], "seed": seed}),
                self.want,
                name,
                args.scratch.resolve(),
            )
            for seed in args.seeds
            for model in args.models or usual or self.models
        ]

    def main(self, given: Sequence[str] | None, description: str) -> int:
        """Train what the file lacks, and make the tables beside it.

        Returns:
            The exit code; 130 when it was interrupted.
        """
        args = self.arguments(given, description)
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
        )
        limited_data = any(getattr(args, f"{split}_limit") for split in SPLITS)
        refused = None
        if limited_data and args.out is None:
            refused = "limited data do not belong into the results; give a file"
        out = args.out or _RESULTS / f"{self.name}.jsonl"

        def work() -> None:
            if not args.render:
                done = {line.key for line in read_lines(out)}
                for run in self.runs(args):
                    if run.key() in done:
                        _LOG.info(f"{run.label}: is there")
                    else:
                        append_line(out, run.measured().to_text())
            if lines := read_lines(out):
                out.with_suffix(".md").write_text(self.markdown(lines), "utf-8")

        return write_alone(out, work, _LOG, refused=refused)
