"""A run: one row of the paper's tables, trained under one seed and measured on test.

A finished run is one line of JSON (schema 1). Accuracies and what derives from them are in
percentage points; results have 8 significant digits in the line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from safr_study.records.bits import (
    Right,
    are_bits,
    are_counts,
    pack_bits,
    pack_counts,
    unpack_bits,
    unpack_counts,
)
from safr_study.records.plain import to_plain
from safr_study.records.scores import Scores, scores_from_plain
from safr_study.records.training import EffectiveWeights

SCHEMA_VERSION = 1
"""Of a line; raise it when a field changes."""
_EXACT = ("learning_rate", "lambda_imp", "lambda_inter")
"""Settings: kept with every digit."""
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
        """As the paper's tables are read: ``baseline``, ``vmask``, ``safr(1, 0.1)``."""
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
    """At most so many texts of each split; ``None``: all."""

    train: int | None
    dev: int | None
    test: int | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The settings of the evaluation that decide its numbers."""

    capacity_layer: str
    draws: int
    seed: int
    mode: str
    batch_size: int
    recompute: bool
    sample_texts: int
    sample_tokens: int


@dataclass(frozen=True, slots=True)
class DevResult:
    """What early stopping saw of the chosen epoch."""

    accuracy: float
    loss: float


@dataclass(frozen=True, slots=True)
class RightAnswers:
    """Which test texts were predicted right, text by text: whole, and without 30 % of the tokens.

    The bits are `numpy.packbits` (the first text is the highest bit, the rest of the last byte is
    0), as hexadecimal digits.
    """

    examples: int
    full: str
    """Bits of the whole texts."""
    top_30: str
    """Bits without the top 30 % by capacity."""
    random_30: str
    """One base-36 digit per text: in how many of the draws it was right without random 30 %."""

    def __post_init__(self) -> None:
        if not all(are_bits(digits, self.examples) for digits in (self.full, self.top_30)):
            raise ValueError(f"{self.examples} texts need as many bits, as hexadecimal digits")
        if not are_counts(self.random_30, self.examples):
            raise ValueError(f"{self.examples} texts need as many base-36 characters of draws")

    @classmethod
    def pack(cls, full: Right, top: Right, random: Right) -> Self:
        """From `full` `[N]`, `top` `[N]` and `random` `[B, N]`.

        Raises:
            ValueError: the lengths differ, or there are more draws than a digit holds.
        """
        if full.shape != top.shape or random.shape[1:] != full.shape:
            raise ValueError(f"texts differ in number: {full.shape}, {top.shape}, {random.shape}")
        return cls(len(full), pack_bits(full), pack_bits(top), pack_counts(random))

    def whole(self) -> Right:
        """`[N]`: right on the whole text."""
        return unpack_bits(self.full, self.examples)

    def without_top(self) -> Right:
        """`[N]`: right without the top 30 % by capacity."""
        return unpack_bits(self.top_30, self.examples)

    def without_random(self, draws: int) -> NDArray[np.float64]:
        """`[N]`: share of the draws that were right without random 30 %, in [0, 1]."""
        return unpack_counts(self.random_30) / draws


@dataclass(frozen=True, slots=True)
class MeanCapacities:
    """Token-weighted means over the test set, in [0, 1]."""

    all: float
    important: float
    """Over the top 30 % of each text by keep-probability."""
    less_important: float
    """Over the others."""


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
    """That ran."""
    best_epoch: int
    """Whose state was measured, from 1."""
    max_epochs: int
    learning_rate: float
    evaluation: Measurement
    dev: DevResult
    test: Scores
    right: RightAnswers
    capacities: Ffn1Capacities | None
    """``None`` without VMASK, which decides what is important, and where it was not wanted."""
    sentiment_capacity: SentimentCapacity | None
    """``None`` where the data have no word sentiment."""
    effective: EffectiveWeights
    seconds: float
    """Wall time of training and measuring."""
    device: str
    versions: Mapping[str, str]

    @property
    def row(self) -> Row:
        """The row of the tables that it belongs to."""
        return Row(self.vmask, self.lambda_imp, self.lambda_inter)

    def to_json(self) -> str:
        """One line, without its end.

        Raises:
            ValueError: a value is not finite.
        """
        plain = to_plain(self)
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
            sentiment = plain["sentiment_capacity"]
            plain |= {
                "limits": _read(Limits, plain.get("limits")),
                "evaluation": _read(Measurement, plain.get("evaluation")),
                "dev": _read(DevResult, plain.get("dev")),
                "test": scores_from_plain(plain.get("test", {})),
                "right": _read(RightAnswers, plain.get("right")),
                "capacities": _capacities(plain["capacities"]),
                "sentiment_capacity": None
                if sentiment is None
                else _read(SentimentCapacity, _renamed(sentiment, back)),
                "effective": _read(EffectiveWeights, plain.get("effective")),
            }
            line = _read(cls, plain)
            _ = line.row
            if not are_counts(line.right.random_30, line.right.examples, line.evaluation.draws):
                raise ValueError(f"it has more right draws than {line.evaluation.draws}")
        except KeyError as error:
            raise ValueError(f"it lacks {error.args[0]}") from error
        except (TypeError, AttributeError) as error:
            raise ValueError(f"it has another form ({error})") from error
        return line


_Record = TypeVar("_Record")
_SENTIMENT_NAMES = {"with_sentiment": "with", "without_sentiment": "without"}
"""``with`` is a word of Python."""


def _read(record: type[_Record], plain: Any) -> _Record:
    """A flat record from a mapping with just its fields."""
    if not isinstance(plain, dict):
        raise ValueError(f"its {record.__name__} is missing or no object")
    known = {field.name for field in fields(record)}  # type: ignore[arg-type]
    if missing := sorted(known - plain.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := sorted(plain.keys() - known):
        raise ValueError(f"it has unknown fields: {', '.join(unknown)}")
    return record(**plain)


def _capacities(plain: Any) -> Ffn1Capacities | None:
    if plain is None:
        return None
    return Ffn1Capacities(
        *(
            PaddedCapacities(
                *(_read(MeanCapacities, plain[side][pad]) for pad in ("pad_out", "pad_in"))
            )
            for side in ("pre", "post")
        )
    )


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
