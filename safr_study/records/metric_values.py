"""Everything that was measured of a model, by the metrics' names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from safr_study.records import LayerMeasures, Scores, to_plain
from safr_study.records.scores import Measure, Values, is_saturated, shares_of
from safr_study.settings import AT_K, OF_LAYER, OF_MODEL, Objective, at_k
from safr_study.settings.metrics import OF_RATIONALE

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class MeasuredMetric:
    """One number with all that is needed to read it."""

    name: str
    """Name of the metric, as an objective: ``srs@30``, ``mean_capacity.ffn1_pre``."""
    label: str
    value: float
    se: float | None
    """Standard error of one run, from the examples; ``None`` where there is none."""
    unit: str
    """``points`` (percentage points), ``nats``, ``share``, or empty."""
    direction: str
    """``higher`` or ``lower``: which is better."""
    mode: str
    """How tokens were deleted; empty for a metric without a deletion."""
    note: str = ""
    ranking: str = "capacity"
    """Ranking by which tokens were deleted, or that was compared with the rationale."""


def measured_metrics(scores: Scores) -> list[MeasuredMetric]:
    """All the metrics that have a value: of the model, of each deletion, of each layer."""
    names = [*OF_MODEL, *_of_deletions(scores.values)]
    rows = [_row(name, scores, scores.values) for name in names if scores.has(name)]
    last = max((layer.block for layer in scores.superposition), default=0)
    for layer in scores.superposition:
        rows += _of_layer(layer, last)
    return rows


def other_rankings(scores: Scores) -> list[MeasuredMetric]:
    """Metrics of deleting by other rankings than capacity, and of their agreement."""
    return [
        replace(_row(name, scores, values), ranking=ranking)
        for names in (_of_deletions, lambda _: OF_RATIONALE)
        for ranking, values in scores.rankings.items()
        for name in names(values)
        if name in values
    ]


def metrics_table(scores: Scores, more: Sequence[MeasuredMetric] = ()) -> pd.DataFrame:
    """`measured_metrics`, `other_rankings` and more as rows.

    Columns: ``split``, ``examples``, ``metric``, ``label``, ``value``, ``se``, ``unit``,
    ``better``, ``mode``, ``note`` and ``ranking``.
    """
    import pandas as pd  # slow to import: a worker that takes a metric's value does without

    rows = [
        {"split": scores.split, "examples": scores.examples, **to_plain(metric)}
        for metric in [*measured_metrics(scores), *other_rankings(scores), *more]
    ]
    return pd.DataFrame(rows).rename(columns={"name": "metric", "direction": "better"})


def write_metrics(scores: Scores, path: Path, more: Sequence[MeasuredMetric] = ()) -> None:
    """Write `metrics_table` as CSV, or as a JSON list where the path ends in ``.json``."""
    table = metrics_table(scores, more)
    if path.suffix.lower() == ".json":
        table.to_json(path, orient="records", indent=2, force_ascii=False)
    else:
        table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def _of_deletions(values: Values) -> list[str]:
    return [at_k(kind, k) for k in shares_of(values) for kind in AT_K]


def scored(name: str, measure: Measure, mode: str, ranking: str) -> MeasuredMetric:
    """A number of a deletion under its metric's name."""
    objective = Objective(name=name)
    metric = objective.measure
    return MeasuredMetric(
        name, objective.label, measure.value, measure.se, metric.unit, metric.direction, mode,
        ranking=ranking,
    )  # fmt: skip


def _row(name: str, scores: Scores, values: Values) -> MeasuredMetric:
    objective = Objective(name=name)
    metric, k = objective.measure, objective.k
    over_curve = "curve" in metric.needs
    deleting = "causes" not in metric.needs and (
        k is not None or over_curve or not {"leave_one_out", "naopc"}.isdisjoint(metric.needs)
    )
    saturated = scores.saturated if k is None else is_saturated(values, k)
    return MeasuredMetric(
        name=name,
        label=objective.label,
        value=float(values[name].value),
        se=values[name].se,
        unit=metric.unit,
        direction=metric.direction,
        mode=scores.mode if deleting else "",
        note="saturated" if saturated and deleting and (k is not None or over_curve) else "",
    )


def _of_layer(layer: LayerMeasures, last: int) -> list[MeasuredMetric]:
    """Metrics of a layer; of several blocks the last one has the objective's plain name."""
    once = layer.layer in ("embedding", "vmask")
    place = layer.layer if once or not last else f"{layer.layer} of block {layer.block + 1}"
    end = layer.layer if once or layer.block == last else f"{layer.layer}.block{layer.block + 1}"
    return [
        MeasuredMetric(
            name=f"{name}.{end}",
            label=f"{metric.label} ({place})",
            value=value,
            se=None,
            unit=metric.unit,
            direction=metric.direction,
            mode="",
        )
        for name, metric in OF_LAYER.items()
        if (value := getattr(layer, name)) is not None
    ]
