"""Train on ``movies`` at 512 words or pieces, and score capacity against the human rationales.

    PYTHONPATH=tests python -m benchmarks.movies --help

Without VMASK, with VMASK alone and with both penalties at 0.1: from scratch, or over an encoder.
Each finished training, measured on test, is a line of ``docs/results/movies.jsonl`` and never paid
for twice; an interrupted one goes on after its last whole epoch. ``docs/results/movies.md`` is the
table of all lines.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.measured import described, machine
from benchmarks.result_lines import append_line, parsed_lines, write_alone
from safr_study.cli.evaluate import with_se
from safr_study.data import encoded_corpus, find_encoder
from safr_study.records import Scores
from safr_study.render.text_table import TextTable, markdown_table
from safr_study.settings import (
    CURVE_SHARES,
    OF_MODEL,
    CorpusSpec,
    EvaluationConfig,
    ModelShape,
    Penalties,
    TrainConfig,
    Wanted,
    fingerprint_of,
)
from safr_study.settings.metrics import CONTROLS

SCHEMA = 1
DATASET = "movies"
WEIGHT = 0.1
"""Both lambdas of the SAFR model."""
MODELS: dict[str, Penalties] = {
    "no VMASK": Penalties(lambda_imp=None, lambda_inter=None),
    "VMASK only": Penalties(lambda_imp=0.0, lambda_inter=0.0),
    f"SAFR ({WEIGHT:g}, {WEIGHT:g})": Penalties(lambda_imp=WEIGHT, lambda_inter=WEIGHT),
}
SCRATCH: dict[str, Any] = {}
"""The defaults: up to 20 epochs with early stopping."""
FINE_TUNING: dict[str, Any] = {
    "learning_rate": 5e-5,
    "warmup": 0.1,
    "decay": "linear",
    "epochs": 3,
    "patience": 3,
    # Texts of 512 pieces: more would need over 10 GB.
    "batch_size": 8,
}
WANTED = Wanted(
    shares=tuple(share for share in CURVE_SHARES if share),
    alone=True,
    agreements=("capacity", *CONTROLS),
)
COLUMNS = (
    *("accuracy", "average_precision", "precision_at_gold", "iou_f1", "auroc"),
    *("comprehensiveness_aopc", "sufficiency_aopc"),
)
_RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
_LOG = logging.getLogger("movies")


@dataclass(frozen=True, slots=True)
class Line:
    """One training, measured on test."""

    model: str
    """One of `MODELS`."""
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
        plain = json.loads(text)
        if not isinstance(plain, dict) or plain.pop("schema", None) != SCHEMA:
            raise ValueError(f"it is no line of schema {SCHEMA}")
        try:
            return cls(**plain)
        except TypeError as error:
            raise ValueError(str(error)) from None

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
                want=WANTED,
                preset=self.train.preset,
                device=device,
                train_counts=word_counts(corpus.train, corpus.vocabulary_size),
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
        limits = {n: getattr(self.corpus, f"{n}_limit") for n in ("train", "dev", "test")}
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


def markdown(lines: Sequence[Line]) -> str:
    """The tables for people: models against each other, and the rankings of each against gold."""
    order = list(MODELS)
    lines = sorted(lines, key=lambda one: (one.encoder or "", order.index(one.model), one.seed))
    names = [
        (one.encoder or "from scratch", one.model + _limited(one), str(one.seed)) for one in lines
    ]
    rows = [
        (*name, *(_cell(one.scores, metric) for metric in COLUMNS), f"{one.seconds / 60:.0f}")
        for name, one in zip(names, lines, strict=True)
    ]
    heads = [f">{OF_MODEL[m].label} {'↑' if OF_MODEL[m].maximise else '↓'}" for m in COLUMNS]
    whole = TextTable("models", ("encoder", "model", "seed", *heads, ">minutes"), rows)
    agreement = ("average_precision", "precision_at_gold", "iou_f1")
    ranked = [
        (*name, ranking.replace("_", " "), *(with_se(*values[m], 3) for m in agreement))
        for name, one in zip(names, lines, strict=True)
        for ranking, values in {"capacity": one.scores.values, **one.scores.rankings}.items()
        if "rationale_texts" in values
    ]
    heads = [f">{OF_MODEL[metric].label} ↑" for metric in agreement]
    rankings = TextTable("rankings", ("encoder", "model", "seed", "ranking", *heads), ranked)
    where = sorted({described(one.machine) for one in lines})
    texts = sorted({one.scores.values["rationale_texts"].value for one in lines})
    counted = ", ".join(f"{count:,}" for count in texts)
    return "\n".join(
        [
            "# Film reviews with human rationales (`movies`)",
            "",
            "Made by `python -m benchmarks.movies` from `movies.jsonl`, which has the settings of "
            "each line. Test, the first 512 words (pieces with an encoder) of each review; "
            "accuracy, comprehensiveness and sufficiency in percentage points (AOPC over k = 5, "
            "10, 20, 30, 40 and 50 %), agreement of the ranking by capacity with the gold "
            "rationale of these words from "
            f"0 to 1 ({counted} texts count); ± is one standard error, from the texts alone.",
            "",
            markdown_table(whole),
            "",
            "Other rankings of the words of the same models:",
            "",
            markdown_table(rankings),
            "",
            *(f"{one}." for one in where),
            "",
        ]
    )


def _limited(line: Line) -> str:
    limits = [f"{count} {name}" for name, count in line.limits.items() if count is not None]
    return f" ({', '.join(limits)} texts)" if limits else ""


def _cell(scores: Scores, metric: str) -> str:
    measure = scores.values.get(metric)
    points = OF_MODEL[metric].unit == "points"
    return "" if measure is None else with_se(*measure, 2 if points else 3)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="movies", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--encoder", help="folder or hub id; else from scratch")
    parser.add_argument("--encoder-name", help="name in the tables; else that of the folder")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="else 3 with an encoder, 20 without")
    parser.add_argument("--batch-size", type=int, help="else 8 with an encoder, 32 without")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="of training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--train-limit", type=int)
    parser.add_argument("--dev-limit", type=int)
    parser.add_argument("--test-limit", type=int)
    parser.add_argument("--out", type=Path, help="the lines; needed where data are limited")
    parser.add_argument("--scratch", type=Path, default=Path(".safr-study") / "movies")
    parser.add_argument("--render", action="store_true", help="make the table alone")
    return parser.parse_args(given)


def wanted_runs(args: argparse.Namespace) -> list[Run]:
    """The trainings that were asked for.

    Raises:
        BadInput: an encoder that cannot be used.
    """
    limits = {name: getattr(args, name) for name in ("train_limit", "dev_limit", "test_limit")}
    corpus = CorpusSpec(dataset=DATASET, encoder=args.encoder, **limits)
    asked = {n: getattr(args, n) for n in ("epochs", "batch_size", "threads", "precision")}
    settings = SCRATCH if args.encoder is None else FINE_TUNING
    settings = settings | {name: value for name, value in asked.items() if value is not None}
    name = None
    if args.encoder is not None:
        name = args.encoder_name or Path(args.encoder).resolve().name
    return [
        Run(
            model,
            corpus,
            TrainConfig.parse(
                {
                    **settings,
                    "shape": ModelShape(vmask=MODELS[model].lambda_imp is not None),
                    "penalties": MODELS[model],
                    "seed": seed,
                }
            ),
            name,
            args.scratch.resolve(),
        )
        for seed in args.seeds
        for model in args.models
    ]


def main(given: Sequence[str] | None = None) -> int:
    """Train what the file lacks, and make the table; 130 when it was interrupted."""
    args = _arguments(given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    out = args.out or _RESULTS / "movies.jsonl"
    limited = (args.train_limit or args.dev_limit or args.test_limit) and args.out is None
    refused = "limited data do not belong into the results; give a file" if limited else None

    def work() -> None:
        if not args.render:
            done = {line.key for line in read_lines(out)}
            for run in wanted_runs(args):
                if run.key() in done:
                    _LOG.info(f"{run.label}: is there")
                else:
                    append_line(out, run.measured().to_text())
        if lines := read_lines(out):
            out.with_suffix(".md").write_text(markdown(lines), "utf-8")

    return write_alone(out, work, _LOG, refused=refused)


if __name__ == "__main__":
    sys.exit(main())
