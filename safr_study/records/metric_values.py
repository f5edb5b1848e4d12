"""Everything that was measured of a model, by the metrics' names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from safr_study.records import Agreement, DeletionScores, LayerMeasures, Scores, to_plain
from safr_study.settings import AT_K, OF_LAYER, OF_MODEL, Metric, Objective

if TYPE_CHECKING:
    import pandas as pd

_CURVE = ("srs_auc", "srs_excess_auc", "comprehensiveness_aopc", "sufficiency_aopc")
_AGREEMENT = ("average_precision", "auroc", "precision_at_gold")


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


def metric_value(scores: Scores, objective: Objective) -> float | None:
    """An objective's value; ``None`` where the model has none.

    Raises:
        KeyError: it was not measured.
    """
    if objective.k is not None:
        return _plain(getattr(scores.deletion(objective.k), objective.metric))
    if objective.layer is not None:
        return _plain(getattr(_last_block(scores, objective.layer), objective.metric, None))
    if objective.metric in _CURVE:
        return _plain(getattr(scores.curve, objective.metric, None))
    if objective.metric in _AGREEMENT:
        return _plain(getattr(_of_capacity(scores), objective.metric, None))
    return _plain(getattr(scores, objective.metric))


def measured_metrics(scores: Scores) -> list[MeasuredMetric]:
    """All the metrics that have a value: of the model, of each deletion, of each layer."""
    found = [_of_model(name, metric, scores) for name, metric in OF_MODEL.items()]
    for deletion in scores.deletions:
        found += [_at_k(name, metric, deletion, scores.mode) for name, metric in AT_K.items()]
    last = max((layer.block for layer in scores.superposition), default=0)
    for layer in scores.superposition:
        found += [_of_layer(name, metric, layer, last) for name, metric in OF_LAYER.items()]
    return [metric for metric in found if metric is not None]


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


def _of_model(name: str, metric: Metric, scores: Scores) -> MeasuredMetric | None:
    value = metric_value(scores, Objective(name=name))
    source: object = scores
    if name in _AGREEMENT:
        source = _of_capacity(scores)
    deleting = name in _CURVE or name == "kendall_tau"
    return _row(name, metric.label, value, getattr(source, f"{name}_se", None), metric,
                scores.mode if deleting else "",
                "saturated" if name in _CURVE and scores.saturated else "")  # fmt: skip


def other_rankings(scores: Scores) -> list[MeasuredMetric]:
    """What is beside capacity: what deleting by another ranking does, and its agreement."""
    found: list[MeasuredMetric | None] = []
    for control in scores.controls:
        for deletion in control.deletions:
            rows = [_at_k(name, metric, deletion, scores.mode) for name, metric in AT_K.items()]
            found += [row and replace(row, ranking=control.ranking) for row in rows]
    for agreement in scores.agreements:
        if agreement.ranking == "capacity":
            continue
        for name in _AGREEMENT:
            se = getattr(agreement, f"{name}_se")
            metric = OF_MODEL[name]
            row = _row(name, metric.label, getattr(agreement, name), se, metric, "")
            found.append(row and replace(row, ranking=agreement.ranking))
    return [metric for metric in found if metric is not None]


def _at_k(name: str, metric: Metric, deletion: DeletionScores, mode: str) -> MeasuredMetric | None:
    percent = f"{100 * deletion.k:g}"
    return _row(
        f"{name}@{percent}",
        f"{metric.label}({percent})",
        getattr(deletion, name),
        getattr(deletion, f"{name}_se", None),
        metric,
        mode,
        "saturated" if deletion.saturated else "",
    )


def _of_layer(name: str, metric: Metric, layer: LayerMeasures, last: int) -> MeasuredMetric | None:
    """A layer's metric; the last of several blocks has the objective's plain name."""
    once = layer.layer in ("embedding", "vmask")
    place = layer.layer if once or not last else f"{layer.layer} of block {layer.block + 1}"
    full = f"{name}.{layer.layer}"
    return _row(
        full if once or layer.block == last else f"{full}.block{layer.block + 1}",
        f"{metric.label} ({place})",
        getattr(layer, name),
        None,
        metric,
        "",
    )


def _row(
    name: str,
    label: str,
    value: float | None,
    se: float | None,
    metric: Metric,
    mode: str,
    note: str = "",
) -> MeasuredMetric | None:
    if value is None:
        return None
    direction = "higher" if metric.maximise else "lower"
    return MeasuredMetric(name, label, value, se, metric.unit, direction, mode, note)


def _last_block(scores: Scores, layer: str) -> LayerMeasures | None:
    """Measures of the last block, where capacity is taken."""
    found = [measured for measured in scores.superposition if measured.layer == layer]
    return max(found, key=lambda measured: measured.block, default=None)


def _of_capacity(scores: Scores) -> Agreement | None:
    return next((one for one in scores.agreements if one.ranking == "capacity"), None)


def _plain(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
