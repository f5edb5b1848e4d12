"""A line of results: one row of the paper's tables, trained under one seed and measured on test.

A finished run is one line of JSON (schema 1). Accuracies and what derives from them are in
percentage points; results have 8 significant digits in the line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

from safr_study.records.plain import to_plain
from safr_study.records.run import Answers
from safr_study.records.scores import Scores, scores_from_plain
from safr_study.records.training import EffectiveWeights
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
_RIGHT = ("examples", "full", "top_30", "random_30")
"""Bits of the right answers, as a line has them: one base-36 digit per text counts the draws."""
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
        plain["evaluation"] = {name: getattr(self.evaluation, name) for name in _EVALUATION}
        plain["right"] = _right_to_plain(self.right)
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
                "evaluation": EvaluationConfig(**_fields(plain, "evaluation", _EVALUATION)),
                "dev": _read(DevResult, plain.get("dev")),
                "test": scores_from_plain(plain.get("test", {})),
                "right": _right_from_plain(plain),
                "capacities": _capacities(plain["capacities"]),
                "sentiment_capacity": None
                if sentiment is None
                else _read(SentimentCapacity, _renamed(sentiment, back)),
                "effective": _read(EffectiveWeights, plain.get("effective")),
            }
            line = _read(cls, plain)
            _ = line.row
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
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]
    return record(**_checked(plain, record.__name__, names))


def _fields(plain: Mapping[str, Any], name: str, names: Sequence[str]) -> dict[str, Any]:
    """A part of a line with just these fields."""
    return _checked(plain.get(name), name, names)


def _checked(plain: Any, what: str, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise ValueError(f"its {what} is missing or no object")
    if missing := sorted(set(names) - plain.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := sorted(plain.keys() - set(names)):
        raise ValueError(f"it has unknown fields: {', '.join(unknown)}")
    return plain


def _right_to_plain(right: Answers) -> dict[str, Any]:
    return {
        "examples": right.examples,
        "full": right.full,
        "top_30": right.top["30"],
        "random_30": right.random["30"],
    }


def _right_from_plain(plain: Mapping[str, Any]) -> Answers:
    right = _fields(plain, "right", _RIGHT)
    return Answers(
        examples=right["examples"],
        full=right["full"],
        top={"30": right["top_30"]},
        draws=plain["evaluation"]["draws"],
        random={"30": right["random_30"]},
    )


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
