"""The views that the experiment's link opens: what is written is what the page reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic_study import study_spec, writer_of

from safr_study.home import open_home
from safr_study.settings.space_files import find_space
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.ui import experiment_pages
from safr_study.tracking.views import CONFIRMED, TRIALS, VIEW_PREFIX, write_views


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(open_home(tmp_path / "home"))


def view(store: Store, experiment_id: str, name: str = TRIALS) -> dict[str, Any]:
    tags = store.client.get_experiment(experiment_id).tags
    found: dict[str, Any] = json.loads(tags[VIEW_PREFIX + name])
    return found


def test_a_study_leaves_a_view_of_its_trials_and_one_of_its_confirmation(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    assert writer.finish() is None
    experiment_id = writer.runs.experiment_id
    trials = view(store, experiment_id)
    assert trials["searchFilter"] == "tags.`safr.kind` = 'trial'"
    assert (trials["orderByKey"], trials["orderByAsc"]) == ("metrics.`pareto_rank`", True)
    columns = trials["selectedColumns"]
    assert {"params.`lambda_imp`", "metrics.`objective/accuracy`"} <= set(columns)
    assert {"metrics.`objective/srs_30`", "metrics.`pareto_rank`"} <= set(columns)
    front = trials["compareRunCharts"][0]
    assert (front["type"], front["xaxis"]["key"], front["yaxis"]["key"]) == (
        "SCATTER",
        "objective/accuracy",
        "objective/srs_30",
    )
    sections = {one["uuid"] for one in trials["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in trials["compareRunCharts"]} == sections
    confirmed = view(store, experiment_id, CONFIRMED)
    assert confirmed["searchFilter"] == "tags.`safr.kind` = 'confirm'"
    assert "metrics.`test/srs_30`" in confirmed["selectedColumns"]
    (page,) = experiment_pages(store, "http://h").values()
    assert page.endswith(f"runs?workflowType=machine_learning&viewStateShareKey={TRIALS}")


def test_another_study_adds_its_columns_and_takes_none_away(store: Store) -> None:
    experiment_id = store.client.create_experiment("safr/planted")
    write_views(store, experiment_id, study_spec())
    first = view(store, experiment_id)
    other = study_spec(
        "s2", space=find_space("smoke"), objectives=[{"name": "accuracy"}, {"name": "contrast@20"}]
    )
    write_views(store, experiment_id, other)
    both = view(store, experiment_id)
    assert set(first["selectedColumns"]) < set(both["selectedColumns"])
    assert "metrics.`objective/contrast_20`" in both["selectedColumns"]
    assert both["compareRunCharts"][0]["yaxis"]["key"] == "objective/contrast_20"
    write_views(store, experiment_id, other)
    assert view(store, experiment_id) == both


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"selectedColumns": 3}', "deflate;AAAA"])
def test_a_view_that_cannot_be_read_is_written_anew(store: Store, broken: str) -> None:
    experiment_id = store.client.create_experiment("safr/planted")
    store.client.set_experiment_tag(experiment_id, VIEW_PREFIX + TRIALS, broken)
    write_views(store, experiment_id, study_spec())
    assert "metrics.`objective/accuracy`" in view(store, experiment_id)["selectedColumns"]


def test_the_view_of_a_large_space_fits_into_a_tag(store: Store) -> None:
    experiment_id = store.client.create_experiment("safr/planted")
    for name in ("lambda", "full", "smoke"):
        write_views(store, experiment_id, study_spec(name, space=find_space(name)))
    for one in (TRIALS, CONFIRMED):
        tags = store.client.get_experiment(experiment_id).tags
        assert len(tags[VIEW_PREFIX + one]) < 5_000
        assert "params.`lambda_imp`" in tags[VIEW_PREFIX + one]


def test_an_experiment_without_views_opens_with_the_front_first(store: Store) -> None:
    store.client.create_experiment("safr/old")
    (page,) = experiment_pages(store, "http://h").values()
    assert "viewStateShareKey" not in page
    assert "orderByKey=metrics.%60pareto_rank%60" in page
