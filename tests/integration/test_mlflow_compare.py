"""Runs of two studies, compared in MLflow's page as it comes out of the box.

Where SAFR_STUDY_PICTURES names a folder, the pictures of the README are written to it:
``mlflow-runs.png`` and ``mlflow-compare.png`` (`make pictures`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import FinishedStudy, safr
from mlflow_compare import (
    compare_runs,
    compared_metrics,
    experiment_tab,
    keep_picture,
    show_differences,
)

from safr_study.home import open_home
from safr_study.tracking.runs import experiment_name
from safr_study.tracking.store import open_store
from safr_study.tracking.ui import serve_ui

PICTURES = os.environ.get("SAFR_STUDY_PICTURES")
SECOND = ("--study", "s2", "--seed", "1", "--trials", "5", "--sampler", "tpe")


@pytest.mark.browser
@pytest.mark.long
def test_runs_of_two_studies_are_compared_by_their_metrics(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    # The runs of the first study, and nothing else of it.
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(finished.home / "mlflow.db", home / "mlflow.db")
    second = safr(home, *finished.command, *SECOND, timeout=3600)
    assert second.code == 0, second.err
    store = open_store(open_home(home))
    experiment = store.client.get_experiment_by_name(experiment_name(finished.dataset))
    assert experiment is not None
    runs = store.client.search_runs([experiment.experiment_id])
    chosen = [
        run
        for study in ("s1", "s2")
        for run in sorted(_trials(runs, study), key=lambda run: run.data.metrics["pareto_rank"])[:2]
    ]
    names = [run.info.run_name for run in chosen]
    assert len(set(names)) == 4
    folder = None if PICTURES is None else Path(PICTURES)
    with serve_ui(store, 0) as server, experiment_tab(server.url, experiment.experiment_id) as page:
        keep_picture(page, folder and folder / "mlflow-runs.png")
        compare_runs(page, names)
        text = page.inner_text("body")
        shown = compared_metrics(page, len(chosen))
        show_differences(page, "objective/accuracy")
        keep_picture(page, folder and folder / "mlflow-compare.png")
    assert all(name in text for name in names)
    # The columns are in an order of the page's own, the same for every metric.
    columns = sorted(chosen, key=lambda run: text.index(run.info.run_name))
    every = {key for run in chosen for key in run.data.metrics}
    assert set(shown) == every
    assert {"objective/accuracy", "objective/srs_30", "deletion/srs_30", "dev/loss"} <= every
    for key, cells in shown.items():
        for run, cell in zip(columns, cells, strict=True):
            value = run.data.metrics.get(key)
            if value is None:
                assert cell in ("", "-", "NaN")
            else:
                # The page writes three decimals, or four digits.
                assert float(cell) == pytest.approx(value, rel=1e-3, abs=6e-4), key


def _trials(runs: list[Any], study: str) -> list[Any]:
    return [
        run for run in runs if run.data.tags["study"] == study and "pareto_rank" in run.data.metrics
    ]
