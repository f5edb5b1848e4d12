"""The reference point of the hypervolume: stored with a study, so that studies can be compared."""

from __future__ import annotations

from collections.abc import Iterable

from safr_study.settings import Metric


def reference_point(metrics: Iterable[Metric], majority: float) -> tuple[float, ...]:
    """Reference point of a front's hypervolume: of each metric the value of a useless model.

    Args:
        metrics: objectives of the study, in its order.
        majority: accuracy of the largest class on dev, percentage points.
    """
    return tuple(metric.reference_value(majority) for metric in metrics)
