"""A scorecard: a few models by every measure of an explanation, and where these disagree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from safr_study.records import Measure, Scores
from safr_study.render.cause_tables import disagreeing
from safr_study.render.text_table import TextTable
from safr_study.settings import Objective, at_k
from safr_study.text import Z95, listed

Models = Sequence[tuple[str, Scores]]
"""Names and scores, all measured on the same texts."""
_EFFECTS = ("neuron_effect", "capacity_effect")


def scorecard_metrics(k: float) -> tuple[str, ...]:
    """Names of the columns: accuracy, then SRS and what is to bear it out."""
    of_k = ("srs", "srs_excess", "contrast", "comprehensiveness")
    return (
        "accuracy",
        *(at_k(kind, k) for kind in of_k),
        *("naopc", "average_precision"),
        *(at_k(kind, k) for kind in _EFFECTS),
        "token_entropy.ffn1_post",
    )


def scorecard_values(scores: Scores, k: float) -> dict[str, Measure]:
    """Those that a model has, by name."""
    found = {}
    for name in scorecard_metrics(k):
        if "." in name:
            value = scores.value(name)
            if value is not None:
                found[name] = Measure(value)
        elif scores.has(name):
            found[name] = scores.values[name]
    return found


def scorecard_table(models: Models, k: float) -> TextTable:
    """A row for each model; ± is 95 %, from the texts alone, where it is known."""
    cards = {name: scorecard_values(scores, k) for name, scores in models}
    names = [one for one in scorecard_metrics(k) if any(one in card for card in cards.values())]
    columns = ["model"]
    for name in names:
        objective = Objective(name=name)
        columns.append(f">{objective.label} {'↑' if objective.maximise else '↓'}")
    rows = []
    for name, scores in models:
        unsure = disagreeing(scores)
        card = cards[name]
        rows.append((name, *(_cell(card.get(one), unsure=one in unsure) for one in names)))
    return TextTable("", columns, rows)


def scorecard_sentences(models: Models, k: float, base: str) -> list[str]:
    """Where the measures of a model's explanations disagree, a sentence for each model.

    Each measure with a known error is set against that of the base, accuracy aside: better or
    worse by more than the noise of the texts (95 %, as if of different texts), or within it.

    Args:
        models: with the base among them.
        k: of the deletions.
        base: name of the model that the others are set against.
    """
    cards = {name: scorecard_values(scores, k) for name, scores in models}
    said = []
    for name, scores in models:
        if name != base and (sentence := _against(cards[name], cards[base])):
            said.append(f"{name} against {base}: {sentence}.")
        if names := [one for one in disagreeing(scores) if one in cards[name]]:
            labels = [Objective(name=one).label for one in names]
            said.append(
                f"{name}: {listed(labels)} (*) changes sign with what takes a neuron's place, "
                "so that nothing follows from it."
            )
    return said


def _against(card: Mapping[str, Measure], base: Mapping[str, Measure]) -> str:
    """Which are better, worse or neither; empty where all are alike."""
    found: dict[str, list[str]] = {"better": [], "worse": [], "within the noise": []}
    for name, mine in card.items():
        theirs = base.get(name)
        if name == "accuracy" or theirs is None or mine.se is None or theirs.se is None:
            continue
        objective = Objective(name=name)
        gain = objective.sign * (mine.value - theirs.value)
        noise = Z95 * math.hypot(mine.se, theirs.se)
        verdict = "within the noise" if abs(gain) <= noise else "better" if gain > 0 else "worse"
        found[verdict].append(objective.label)
    if sum(map(bool, found.values())) < 2:
        return ""
    return ", ".join(
        f"{listed(labels)} {'is' if len(labels) == 1 else 'are'} {verdict}"
        for verdict, labels in found.items()
        if labels
    )


def _cell(measure: Measure | None, *, unsure: bool) -> str:
    if measure is None:
        return ""
    decimals = 2 if abs(measure.value) >= 2 else 3
    error = "" if measure.se is None else f" ± {Z95 * measure.se:.{decimals}f}"
    return f"{measure.value:.{decimals}f}{error}{'*' if unsure else ''}"
