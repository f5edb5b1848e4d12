"""The reference point of the hypervolume: stored with a study, so that studies can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from safr_study.settings import Metric


def reference_point(metrics: Iterable[Metric], classes: Sequence[int]) -> tuple[float, ...]:
    """Reference point of a front's hypervolume: of each metric the value of a useless model.

    Args:
        metrics: objectives of the study, in its order.
        classes: number of dev texts of each class.
    """
    return tuple(metric.reference_value(classes) for metric in metrics)
