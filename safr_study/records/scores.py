"""What one trained model was measured to be on one split, by the names of the metrics.

Accuracies and everything derived from them are in percentage points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from safr_study.settings.metrics import OF_CLASSES, OF_CURVE, OF_RATIONALE, at_k, percent_of

SATURATION_SHARE = 0.95
"""Share of the predictions above which one class shows a collapse, not a good ranking."""


class Measure(NamedTuple):
    """A measured number."""

    value: float
    se: float | None = None
    """Standard error of one run, from the examples; ``None`` where there is none."""


Confusion = tuple[tuple[int, ...], ...]
"""Number of texts by true class (row) and predicted class (column)."""
Values = Mapping[str, Measure]
"""Measures by name; what was not measured, or is undefined for the model, is not in it."""


@dataclass(frozen=True, slots=True)
class LayerMeasures:
    """Superposition in one layer (definitions, section 4): means over texts, or over tokens.

    ``None`` where a measure is undefined in all texts: rows that are zero, texts of one token.
    """

    layer: str
    """One of ``settings.LAYERS``."""
    block: int
    """Number of the block, from 0; 0 for the embedding and VMASK too."""
    mean_capacity: float
    """Mean capacity over all tokens, in [0, 1]."""
    mean_capacity_important: float | None
    """Mean over the top 30 % of each text by keep-probability; ``None`` without VMASK."""
    mean_capacity_less_important: float | None
    """Mean over the other tokens."""
    total_capacity_share: float
    """sum_i C_i / min(n, D), mean over texts."""
    interference_energy: float | None
    """Off-diagonal share of sum G^2, in [0, 1]; G the Gram matrix of a text's rows."""
    mean_cosine: float | None
    """Mean |cos| over the pairs of a text, in [0, 1]."""
    participation_ratio: float | None
    """(sum s^2)^2 / sum s^4 over the singular values s, at least 1."""
    effective_rank: float | None
    """exp(entropy of s / sum s), at least 1."""
    stable_rank: float | None
    """|H|_F^2 / s_1^2, at least 1."""
    hoyer_sparsity: float | None
    """(sqrt(D) - |h|_1 / |h|_2) / (sqrt(D) - 1), mean over tokens, in [0, 1]."""
    active_share: float | None
    """Share of values above 0; after ReLU alone, as the next."""
    dead_share: float | None
    """Share of neurons that no token of the sample activates."""
    mean_norm: float
    """Mean Euclidean norm of the tokens' rows."""
    token_entropy: float | None = None
    """Mean over neurons of the entropy of sum |a| by word type, less that after shuffling the
    words, nats; after the activation of the last block alone."""
    always_on_share: float | None = None
    """Share of neurons that more than 99 % of the tokens activate; after the activation alone."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model was measured to be on one split."""

    split: str
    """``dev`` or ``test``."""
    examples: int
    values: Values
    """Metrics of `settings.metrics` (``accuracy``, ``srs@30``, ``auroc``; those of a layer are in
    ``superposition``), and what they come from:
    ``majority_accuracy`` (of always naming the most frequent class), ``kendall_texts``,
    ``rationale_texts`` and ``consistency_groups`` (texts or groups that count), and at each K
    that was deleted ``accuracy_top@K``, ``accuracy_random@K``, ``accuracy_bottom@K`` (accuracy
    without those tokens),
    ``realised_share@K`` (sum(q) / sum(n)), ``dominant_share@K`` (of the most frequent prediction
    without the top, in [0, 1]) and ``mcnemar_p@K`` (that the deletion changes accuracy). Beside
    what neurons cause, of the same names: ``_p@K`` and ``_flips@K``, see ``cause_measures``; beside
    ``naopc`` those of ``normalised_aopc``; and ``interchange_control``, ``interchange_pairs``."""
    mode: str = "remove"
    """How tokens were deleted."""
    rankings: Mapping[str, Values] = field(default_factory=dict)
    """Metrics of a deletion and of agreement with a rationale, by other rankings than capacity."""
    superposition: tuple[LayerMeasures, ...] = ()
    confusion: Confusion = ()
    """Predictions on the whole texts; empty in what earlier versions wrote."""

    @property
    def precision(self) -> tuple[float | None, ...]:
        """Share of right ones among the predictions of each class, percentage points."""
        return _shares(zip(*self.confusion, strict=True))

    @property
    def recall(self) -> tuple[float | None, ...]:
        """Share of right ones among the texts of each class, percentage points."""
        return _shares(self.confusion)

    @property
    def accuracy(self) -> float:
        """Accuracy on the whole texts, percentage points."""
        return self.values["accuracy"].value

    @property
    def saturated(self) -> bool:
        """Whether any measured deletion collapsed the predictions."""
        return any(is_saturated(self.values, k) for k in self.shares)

    @property
    def shares(self) -> tuple[float, ...]:
        """Each k whose deletion by capacity was measured, in [0, 1], ascending."""
        return shares_of(self.values)

    def has(self, name: str) -> bool:
        """Whether there is a value of this name."""
        return name in self.values

    def value(self, name: str) -> float | None:
        """Value of the metric of this name; ``None`` where the model has none.

        A measure of a layer is that of the last block, as capacity is.

        Raises:
            KeyError: it is a metric of a deletion that was not measured.
        """
        kind, dot, layer = name.partition(".")
        if dot and "@" not in name:
            blocks = [one for one in self.superposition if one.layer == layer]
            measured = getattr(blocks[-1], kind) if blocks else None
            return None if measured is None else float(measured)
        if "@" in name and f"realised_share@{percent_of(name)}" not in self.values:
            raise KeyError(name)
        measure = self.values.get(name)
        return None if measure is None else measure.value

    def to_plain(self) -> dict[str, Any]:
        """JSON values in the form that ledgers, model folders and documents have."""
        number = _numbers(self.values)
        curve = {name: number.get(name) for name in OF_CURVE}
        ranked = {"capacity": self.values, **self.rankings}
        return {
            "split": self.split,
            "examples": self.examples,
            "accuracy": number["accuracy"],
            "accuracy_se": number["accuracy_se"],
            "majority_accuracy": number["majority_accuracy"],
            "loss": number["log_loss"],
            "deletions": _plain_deletions(self.values),
            "mode": self.mode,
            "curve": curve if any(value is not None for value in curve.values()) else None,
            "kendall_tau": number.get("kendall_tau"),
            "kendall_tau_se": number.get("kendall_tau_se"),
            "kendall_texts": number.get("kendall_texts", 0),
            "agreements": [
                _plain_agreement(name, values)
                for name, values in ranked.items()
                if "rationale_texts" in values
            ],
            "controls": [
                {"ranking": name, "deletions": _plain_deletions(values)}
                for name, values in self.rankings.items()
                if shares_of(values)
            ],
            "superposition": [
                {
                    name: value
                    for name in LayerMeasures.__slots__
                    if (value := getattr(layer, name)) is not None or name not in _LATER
                }
                for layer in self.superposition
            ],
            "classes": self._plain_classes(number) if self.confusion else None,
            "gate_openness": number.get("gate_openness"),
            # Only where texts belong together: all others are written as ever.
            **{key: number[key] for key in _OF_GROUPS if key in number},
            **({"more": more} if (more := _more(self.values)) else {}),
        }

    def _plain_classes(self, number: Mapping[str, float | None]) -> dict[str, Any]:
        """Measures of the classes; the log loss is ``loss`` too, as it ever was."""
        keys = [f"{name}{end}" for name in OF_CLASSES for end in ("", "_se")]
        return {key: number.get(key) for key in keys} | {
            "precision": list(self.precision),
            "recall": list(self.recall),
            "confusion": [list(row) for row in self.confusion],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_plain`, for what earlier versions wrote too.

        Raises:
            KeyError: a list of the form is missing.
            TypeError: it has another form, or a number is missing.
        """
        of_model = ("accuracy", "majority_accuracy", "kendall_tau", "gate_openness", "consistency")
        classes = {"log_loss": plain.get("loss"), **(plain.get("classes") or {})}
        deletions = _deletions(plain["deletions"])
        _check(plain, ("split", "examples", "accuracy", "accuracy_se", "majority_accuracy", "loss"))
        values = {**dict(_measures(plain, of_model)), **dict(_measures(classes, OF_CLASSES))}
        if plain.get("kendall_texts"):
            values["kendall_texts"] = Measure(plain["kendall_texts"])
        if plain.get("consistency_groups"):
            values["consistency_groups"] = Measure(plain["consistency_groups"])
        values |= _measures(plain.get("curve") or {}, OF_CURVE)
        values |= deletions
        values |= {name: _measure(name, pair) for name, pair in plain.get("more", {}).items()}
        rankings: dict[str, dict[str, Measure]] = {"capacity": values}
        for control in plain.get("controls", ()):
            rankings.setdefault(control["ranking"], {}).update(_deletions(control["deletions"]))
        for agreement in plain.get("agreements", ()):
            rankings.setdefault(agreement["ranking"], {}).update(
                {
                    "rationale_texts": Measure(agreement["texts"]),
                    **dict(_measures(agreement, OF_RATIONALE)),
                }
            )
        del rankings["capacity"]
        return cls(
            split=plain["split"],
            examples=plain["examples"],
            values=values,
            mode=plain.get("mode", "remove"),
            rankings=rankings,
            superposition=tuple(LayerMeasures(**layer) for layer in plain.get("superposition", ())),
            confusion=tuple(tuple(row) for row in classes.get("confusion", ())),
        )


def shares_of(values: Values) -> tuple[float, ...]:
    """Each k of the deletions among these values, in [0, 1], ascending."""
    percents = [percent_of(name) for name in values if name.startswith("realised_share@")]
    return tuple(sorted(float(percent) / 100 for percent in percents))


def _shares(rows: Iterable[tuple[int, ...]]) -> tuple[float | None, ...]:
    """Share of each row that is on the diagonal, percentage points; ``None``: an empty row."""
    return tuple(100.0 * row[i] / sum(row) if sum(row) else None for i, row in enumerate(rows))


def is_saturated(values: Values, k: float) -> bool:
    """Whether the predictions without the top k have collapsed to one class."""
    return values[at_k("dominant_share", k)].value > SATURATION_SHARE


OF_DELETION = (
    "realised_share",
    "accuracy_top",
    "srs",
    "srs_se",
    "accuracy_random",
    "srs_excess",
    "srs_excess_se",
    "dominant_share",
    "saturated",
    "accuracy_random_se",
    "mcnemar_p",
    "headroom",
    "accuracy_bottom",
    "contrast",
    "contrast_se",
    "comprehensiveness",
    "comprehensiveness_se",
    "sufficiency",
    "sufficiency_se",
    "log_odds",
    "flip_rate",
)
"""Keys of a deletion in JSON, in their order, after ``k``."""
_LATER = ("token_entropy", "always_on_share")
"""Measures of a layer that are written only where there are any: earlier ones are as they were."""
_OF_GROUPS = ("consistency", "consistency_se", "consistency_groups")
_WRITTEN = {
    *("accuracy", "majority_accuracy", "kendall_tau", "kendall_texts", "rationale_texts"),
    *("gate_openness", *OF_CLASSES, *OF_CURVE, *OF_RATIONALE, *_OF_GROUPS, *OF_DELETION),
}
"""Kinds of numbers that have keys of their own in JSON; all others are in ``more``."""
_OF_AGREEMENT = [f"{name}{end}" for name in OF_RATIONALE for end in ("", "_se")]


def _numbers(values: Values) -> dict[str, float | None]:
    """Values by name, and their standard errors under the name with ``_se`` before its ``@``."""
    numbers: dict[str, float | None] = {}
    for name, measure in values.items():
        kind, at, percent = name.partition("@")
        numbers |= {name: measure.value, f"{kind}_se{at}{percent}": measure.se}
    return numbers


def _plain_deletions(values: Values) -> list[dict[str, Any]]:
    numbers = _numbers(values)
    return [
        {"k": k}
        | {key: numbers.get(at_k(key, k)) for key in OF_DELETION}
        | {"saturated": is_saturated(values, k)}
        for k in shares_of(values)
    ]


def _plain_agreement(ranking: str, values: Values) -> dict[str, Any]:
    numbers = _numbers(values)
    # What an earlier version measured lacks later metrics, and is written as it was.
    return {"ranking": ranking, "texts": numbers["rationale_texts"]} | {
        key: numbers[key] for key in _OF_AGREEMENT if key in numbers
    }


def _deletions(plain: Iterable[Mapping[str, Any]]) -> dict[str, Measure]:
    kinds = [key for key in OF_DELETION if not key.endswith("_se") and key != "saturated"]
    return {
        at_k(kind, deletion["k"]): measure
        for deletion in plain
        if _check(deletion, ("k", "realised_share", "accuracy_top", "srs", "srs_se"))
        for kind, measure in _measures({"dominant_share": 0.0, **deletion}, kinds)
    }


def _more(values: Values) -> dict[str, list[float | None]]:
    """Value and standard error of what has no key of its own, by name."""
    return {
        name: list(measure)
        for name, measure in values.items()
        if name.partition("@")[0] not in _WRITTEN
    }


def _measure(name: str, pair: Iterable[float | None]) -> Measure:
    ((_, measure),) = _measures(dict(zip((name, f"{name}_se"), pair, strict=True)), [name])
    return measure


def _check(plain: Mapping[str, Any], required: Iterable[str]) -> bool:
    """See that these fields are there; always true.

    Raises:
        TypeError: one is missing.
    """
    if missing := [name for name in required if plain.get(name) is None]:
        raise TypeError(f"scores without {', '.join(missing)}")
    return True


def _measures(plain: Mapping[str, Any], kinds: Iterable[str]) -> Iterator[tuple[str, Measure]]:
    for kind in kinds:
        value, se = plain.get(kind), plain.get(f"{kind}_se")
        if not all(isinstance(number, (int, float, type(None))) for number in (value, se)):
            raise TypeError(f"{kind} of the scores is no number")
        if value is not None:
            yield kind, Measure(value, se)
