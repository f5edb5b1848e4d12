"""Scores for tests, written and read in the form that JSON has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from safr_study.records import Measure, Scores


def a_deletion(
    k: float,
    realised_share: float,
    accuracy_top: float,
    srs: float,
    srs_se: float,
    accuracy_random: float | None = None,
    srs_excess: float | None = None,
    srs_excess_se: float | None = None,
    dominant_share: float | None = None,
    *,
    saturated: bool = False,
    **more: float,
) -> dict[str, Any]:
    """A deletion of the share k; saturated where one class has more than 95 % of the texts."""
    dominant = dominant_share if dominant_share is not None else 0.99 if saturated else 0.0
    return {
        "k": k,
        "realised_share": realised_share,
        "accuracy_top": accuracy_top,
        "srs": srs,
        "srs_se": srs_se,
        "accuracy_random": accuracy_random,
        "srs_excess": srs_excess,
        "srs_excess_se": srs_excess_se,
        "dominant_share": dominant,
        **more,
    }


def made_scores(
    split: str,
    examples: int,
    accuracy: float,
    accuracy_se: float,
    majority_accuracy: float,
    loss: float,
    deletions: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> Scores:
    """Scores of these numbers, and of others by their key in JSON."""
    return Scores.from_plain(
        {
            "split": split,
            "examples": examples,
            "accuracy": accuracy,
            "accuracy_se": accuracy_se,
            "majority_accuracy": majority_accuracy,
            "loss": loss,
            "deletions": deletions,
            **more,
        }
    )


def changed(scores: Scores, **changes: Any) -> Scores:
    """Scores with other numbers, by their key in JSON."""
    return Scores.from_plain({**scores.to_plain(), **changes})


def deletions_of(scores: Scores) -> list[Any]:
    """Deletions by capacity, ascending, with their numbers as attributes."""
    return [SimpleNamespace(**one) for one in scores.to_plain()["deletions"]]


def deletion_at(scores: Scores, k: float) -> Any:
    """One of them."""
    return next(one for one in deletions_of(scores) if abs(one.k - k) < 1e-9)


def numbers(values: Mapping[str, Measure]) -> Any:
    """Measures as attributes without their K, each error under its name with ``_se``."""
    named: dict[str, float | None] = {"headroom": None}
    for name, measure in values.items():
        kind = name.partition("@")[0]
        named |= {kind: measure.value, f"{kind}_se": measure.se}
    dominant = named.get("dominant_share")
    return SimpleNamespace(**named, saturated=dominant is not None and dominant > 0.95)


def plain_scores(*, saturated: bool = False) -> Scores:
    """Scores on dev with one deletion, for tests that look at a trial's place alone."""
    dominant = 0.99 if saturated else 0.6
    deletion = a_deletion(0.3, 0.3, 50.0, 10.0, 1.0, dominant_share=dominant)
    return made_scores("dev", 100, 80.0, 4.0, 50.0, 0.5, (deletion,))
