"""Views of an experiment's runs that MLflow's page opens by a link: columns, order, charts.

A view is a tag of the experiment, as the page's own "Share" writes it, and the link names it. A
person's own columns and charts are left alone, and the page says how to leave the view.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from safr_study.settings import StudySpec
from safr_study.tracking.entries import KIND_TAG
from safr_study.tracking.store import Store

VIEW_PREFIX = "mlflow.sharedViewState."
TRIALS, CONFIRMED = "safr-trials", "safr-confirmed"
_MOST = 4_500
"""Characters of a tag; MLflow takes 5,000."""
_SECTION = "safr"
_OF_TRIALS = ("pareto_rank", "dev/best_epoch", "gate/openness")


def write_views(store: Store, experiment_id: str, spec: StudySpec) -> None:
    """Bring the views of a data set's experiment up to date with a study of it.

    Columns that other studies of the data set have asked for stay.
    """
    experiment = store.client.get_experiment(experiment_id)
    for name, kind in ((TRIALS, "trial"), (CONFIRMED, "confirm")):
        key = VIEW_PREFIX + name
        before = experiment.tags.get(key)
        view = json.dumps(_view(spec, kind, _columns_of(before)), separators=(",", ":"))
        if view != before and len(view) <= _MOST:
            store.client.set_experiment_tag(experiment_id, key, view)


def has_views(tags: Mapping[str, str]) -> bool:
    """Whether an experiment with these tags has the view of its trials."""
    return VIEW_PREFIX + TRIALS in tags


def _view(spec: StudySpec, kind: str, before: Sequence[str]) -> dict[str, Any]:
    """What the page keeps of a view, under its own names."""
    objectives = [f"objective/{objective.key}" for objective in spec.objectives]
    tested = [f"test/{objective.key}" for objective in spec.objectives]
    varied = [*spec.space.parameters, "seed"]
    metrics = [*objectives, *(tested if kind == "confirm" else _OF_TRIALS)]
    wanted = [
        "attributes.`Duration`",
        *(f"params.`{name}`" for name in varied),
        *(f"metrics.`{name}`" for name in metrics),
    ]
    charts = [
        _chart("front", "SCATTER", "The trade-off on dev", xaxis=_axis(objectives[0]),
               yaxis=_axis(objectives[1]), runsCountToCompare=100),
        _chart("settings", "PARALLEL", "Settings and objectives", selectedParams=varied[:-1],
               selectedMetrics=objectives[: len(spec.objectives)], showAllRuns=True),
        _chart("accuracy", "LINE", "Dev accuracy", metricKey="dev/accuracy", xAxisKey="step"),
        _chart("loss", "LINE", "Training loss", metricKey="train/loss", xAxisKey="step"),
    ]  # fmt: skip
    return {
        "searchFilter": f"tags.`{KIND_TAG}` = '{kind}'",
        "orderByKey": f"metrics.`{'pareto_rank' if kind == 'trial' else objectives[0]}`",
        "orderByAsc": kind == "trial",
        "selectedColumns": list(dict.fromkeys([*wanted, *before])),
        "runsHiddenMode": "SHOW_ALL",
        # The page adds sections for the other metrics, and sorts them by name otherwise.
        "isAccordionReordered": True,
        "compareRunCharts": charts,
        "compareRunSections": [
            {"uuid": _SECTION, "name": "The study", "display": True, "isReordered": True,
             "deleted": False, "isGenerated": False},
        ],
    }  # fmt: skip


def _chart(name: str, kind: str, title: str, **more: Any) -> dict[str, Any]:
    return {
        "uuid": f"{_SECTION}-{name}",
        "type": kind,
        "displayName": title,
        "metricSectionId": _SECTION,
        "deleted": False,
        "isGenerated": False,
        **more,
    }


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _columns_of(view: str | None) -> list[str]:
    """Columns of a view as it was written before; none where it cannot be read."""
    try:
        columns = json.loads(view or "{}")["selectedColumns"]
    except (ValueError, LookupError, TypeError):
        return []
    return [one for one in columns if isinstance(one, str)] if isinstance(columns, list) else []
