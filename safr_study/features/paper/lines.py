"""Finished runs of the paper's tables, each a line of JSON: appended to a file, never rewritten.

A run is one row of a table, trained under one seed and measured on test (schema 1). Accuracies and
what derives from them are in percentage points; results have 8 significant digits in the line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safr_study.data import slugify
from safr_study.errors import BadInput
from safr_study.records import Scores, from_plain, to_plain
from safr_study.records.run import Answers, EffectiveWeights
from safr_study.settings import EvaluationConfig

SCHEMA_VERSION = 1
"""Version of a line; raise it when a field changes."""
_EXACT = ("learning_rate", "lambda_imp", "lambda_inter")
"""Settings: kept with every digit."""
_EVALUATION = (
    *("capacity_layer", "draws", "seed", "mode", "batch_size", "recompute"),
    *("sample_texts", "sample_tokens"),
)
"""Settings of the evaluation that a line has, in its order."""
_SENTIMENT_NAMES = {"with_sentiment": "with", "without_sentiment": "without"}
"""``with`` is a word of Python."""
_SIGNIFICANT = 8
"""Digits of a result."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: which model, with which weights of the regularisers."""

    vmask: bool
    """``False``: the baseline; it has no lambdas."""
    lambda_imp: float | None
    lambda_inter: float | None

    def __post_init__(self) -> None:
        if any((value is None) is self.vmask for value in (self.lambda_imp, self.lambda_inter)):
            raise ValueError(f"lambdas are null without VMASK and numbers with it, got {self}")

    @property
    def name(self) -> str:
        """Name of the row in the paper's tables: ``baseline``, ``vmask``, ``safr(1, 0.1)``."""
        if not self.vmask:
            return "baseline"
        if not self.lambda_imp and not self.lambda_inter:
            return "vmask"
        return f"safr({self.lambda_imp:g}, {self.lambda_inter:g})"


BASELINE_ROW = Row(vmask=False, lambda_imp=None, lambda_inter=None)
VMASK_ROW = Row(vmask=True, lambda_imp=0.0, lambda_inter=0.0)
"""lambda (0, 0): what every other row is compared with."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Most texts of each split; ``None``: all."""

    train: int | None
    dev: int | None
    test: int | None


@dataclass(frozen=True, slots=True)
class DevResult:
    """What early stopping saw of the chosen epoch."""

    accuracy: float
    loss: float


@dataclass(frozen=True, slots=True)
class MeanCapacities:
    """Token-weighted means over the test set, in [0, 1]."""

    all: float
    important: float
    """Mean over the top 30 % of each text by keep-probability."""
    less_important: float
    """Mean over the other tokens."""


@dataclass(frozen=True, slots=True)
class PaddedCapacities:
    """The two readings of "the tokens of a text"."""

    pad_out: MeanCapacities
    """Real tokens alone, as the definitions say."""
    pad_in: MeanCapacities
    """PAD positions take part, as in the authors' released model."""


@dataclass(frozen=True, slots=True)
class Ffn1Capacities:
    """Capacity at FFN1, before and after ReLU."""

    pre: PaddedCapacities
    post: PaddedCapacities


@dataclass(frozen=True, slots=True)
class SentimentCapacity:
    """Mean capacity of words with and without sentiment of their own, over the texts with both."""

    with_sentiment: float
    without_sentiment: float
    texts: int
    difference: float
    """Mean over the texts of (with - without)."""
    difference_se: float


@dataclass(frozen=True, slots=True)
class RunLine:
    """One finished run."""

    key: str
    """What decides the training's numbers, 16 hexadecimal digits."""
    dataset: str
    corpus: str
    """Fingerprint of the encoded texts."""
    preset: str
    vmask: bool
    lambda_imp: float | None
    """``None`` without VMASK, as the next."""
    lambda_inter: float | None
    seed: int
    limits: Limits
    epochs: int
    """Number of epochs trained."""
    best_epoch: int
    """Epoch of the state that was measured, from 1."""
    max_epochs: int
    learning_rate: float
    evaluation: EvaluationConfig
    dev: DevResult
    test: Scores
    right: Answers
    """Right answers on the test set, whole and without 30 %."""
    capacities: Ffn1Capacities | None
    """``None`` without VMASK, which decides what is important, and where it was not wanted; on the
    part of the texts, where there is one."""
    sentiment_capacity: SentimentCapacity | None
    """``None`` where the data have no word sentiment."""
    effective: EffectiveWeights
    seconds: float
    """Wall time of training and measuring."""
    device: str
    versions: Mapping[str, str]
    of_part: Scores | None = None
    """Scores at every k and by the other rankings on a fixed part of the test texts; ``None``: what
    was wanted of them is in ``test``."""

    @property
    def curve(self) -> Scores:
        """The scores at every k, where they were wanted."""
        return self.test if self.of_part is None else self.of_part

    @property
    def row(self) -> Row:
        """The row of the tables that it belongs to."""
        return Row(self.vmask, self.lambda_imp, self.lambda_inter)

    def to_json(self) -> str:
        """One line, without its end.

        Raises:
            ValueError: a value is not finite.
        """
        plain, right = to_plain(self), self.right
        if self.of_part is None:
            del plain["of_part"]
        plain["evaluation"] = {name: getattr(self.evaluation, name) for name in _EVALUATION}
        plain["right"] = {
            "examples": right.examples,
            "full": right.full,
            "top_30": right.top["30"],
            "random_30": right.random["30"],
        }
        plain["sentiment_capacity"] = _renamed(plain["sentiment_capacity"], _SENTIMENT_NAMES)
        rounded = {
            name: value if name in _EXACT else _rounded(value) for name, value in plain.items()
        }
        return json.dumps({"schema": SCHEMA_VERSION, **rounded}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`, strict: every field, and no other.

        Raises:
            ValueError: it is no line of this schema; says why.
        """
        plain = json.loads(text, parse_constant=_no_number)
        if not isinstance(plain, dict):
            raise ValueError("it is no JSON object")
        schema = plain.pop("schema", None)
        if schema != SCHEMA_VERSION:
            raise ValueError(f"its schema is {schema}, this version reads {SCHEMA_VERSION}")
        back = {short: long for long, short in _SENTIMENT_NAMES.items()}
        try:
            evaluation, right = plain["evaluation"], dict(plain["right"])
            top, random = {"30": right.pop("top_30")}, {"30": right.pop("random_30")}
            given = {name: evaluation[name] for name in _EVALUATION}
            plain |= {
                "evaluation": EvaluationConfig(**{**evaluation, **given}),
                "right": {**right, "top": top, "draws": given["draws"], "random": random},
                "sentiment_capacity": _renamed(plain["sentiment_capacity"], back),
            }
            line = from_plain(cls, plain)
            _ = line.row
        except KeyError as error:
            raise ValueError(f"it lacks {error.args[0]}") from error
        except (TypeError, AttributeError) as error:
            raise ValueError(f"it has another form ({error})") from error
        return line


def line_path(folder: Path, dataset: str, preset: str) -> Path:
    """The file of the runs of one data set and preset."""
    return folder / f"{slugify(dataset)}-{preset}.jsonl"


def read_file(path: Path) -> tuple[RunLine, ...]:
    """The runs of one file; none where it is not there.

    Raises:
        BadInput: a line that is none; a torn last one, as a crash leaves it, is passed over.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise BadInput("results", f"{path} cannot be read ({error}); choose another") from error
    return tuple(_lines(path, content))


def append_line(folder: Path, line: RunLine) -> RunLine:
    """Add a run to its file, in one write; mends a torn last line before.

    Returns:
        The run as it will be read back, its numbers rounded.

    Raises:
        BadInput: it cannot be written.
    """
    path = line_path(folder, line.dataset, line.preset)
    text = line.to_json()
    data = text.encode() + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _mend(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError("the disk is full")
    except OSError as error:
        raise BadInput("results", f"{path} cannot be written ({error}); choose another") from error
    return RunLine.from_json(text)


def _lines(path: Path, content: bytes) -> Iterator[RunLine]:
    *whole, last = content.split(b"\n")
    for number, text in enumerate(whole, start=1):
        if text.strip():
            try:
                yield RunLine.from_json(text.decode())
            except ValueError as error:
                raise BadInput(
                    "results",
                    f"{path}, line {number} is no run of this version: {error}; "
                    "remove the line, or choose another folder",
                ) from error
    if _is_run(last):
        yield RunLine.from_json(last.decode())


def _mend(path: Path) -> None:
    """End the last line if it is whole, cut it off if it is torn."""
    if not path.exists():
        return
    content = path.read_bytes()
    last = content.rpartition(b"\n")[2]
    if _is_run(last):
        with path.open("ab") as file:
            file.write(b"\n")
    elif last:
        os.truncate(path, len(content) - len(last))


def _is_run(text: bytes) -> bool:
    try:
        RunLine.from_json(text.decode())
    except ValueError:
        return False
    return True


def _renamed(plain: Any, names: Mapping[str, str]) -> Any:
    if plain is None:
        return None
    return {names.get(name, name): value for name, value in plain.items()}


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT}g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
