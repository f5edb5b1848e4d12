"""Tables of the predicted classes: measures beyond accuracy, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from safr_study.records import Measure, Scores
from safr_study.render.text_table import TextTable
from safr_study.settings import OF_MODEL
from safr_study.settings.metrics import OF_CLASSES
from safr_study.text import unit_words

MOST_CLASSES = 12
"""Classes up to which a table shows the whole confusion matrix; more columns cannot be read."""


def quality_table(measured: Mapping[str, Scores]) -> TextTable:
    """Macro F1, calibration and the like of models, by their names; ± one standard error."""
    metrics = {
        name: OF_MODEL[name]
        for name in (*OF_CLASSES, "consistency")
        if any(scores.has(name) for scores in measured.values())
    }
    columns = ["model"]
    for one in metrics.values():
        unit = "" if one.unit == "share" else unit_words(one.unit).replace("percentage ", "")
        arrow = "↑" if one.maximise else "↓"
        columns.append(f">{one.label}{f', {unit}' if unit else ''} {arrow}")
    rows = [
        (name, *(_with_se(scores.values.get(metric)) for metric in metrics))
        for name, scores in measured.items()
    ]
    return TextTable("Quality of the classes beyond accuracy", columns, rows)


def class_table(scores: Scores, class_names: Sequence[str], title: str) -> TextTable:
    """Precision and recall of each class, and how often it is taken for which.

    Args:
        scores: with a confusion matrix.
        class_names: in the order of the matrix; empty: unknown, the classes are numbered.
        title: of the table.
    """
    names = class_names or [str(number) for number in range(len(scores.confusion))]
    whole = len(names) <= MOST_CLASSES
    rows = [
        (name, f"{sum(counts):,}", _number(precision), _number(recall))
        + (tuple(f"{count:,}" for count in counts) if whole else ())
        for name, counts, precision, recall in zip(
            names, scores.confusion, scores.precision, scores.recall, strict=True
        )
    ]
    columns = ["class", ">texts", ">precision ↑", ">recall ↑"]
    columns += [f">as {name}" for name in names] if whole else []
    return TextTable(title, columns, rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _with_se(measure: Measure | None) -> str:
    if measure is None:
        return ""
    decimals = 2 if abs(measure.value) >= 2 else 4
    error = "" if measure.se is None else f" ± {measure.se:.{decimals}f}"
    return f"{measure.value:.{decimals}f}{error}"
