from __future__ import annotations

from pathlib import Path

import pytest
from commands import TRIALS, FinishedStudy
from mlflow_page import browser_page, runs_page, view_page
from synthetic_study import complete_trial, ranked_study, study_spec, writer_of

from safr_study.home import open_home
from safr_study.records.study import HistoryPoint
from safr_study.tracking.registry import register_front
from safr_study.tracking.runs import experiment_name
from safr_study.tracking.store import open_store
from safr_study.tracking.study_runs import StudyEnd
from safr_study.tracking.ui import experiment_url, serve_ui

PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0"
    b"\0\2\0\1H\xaf\xa4q\0\0\0\0IEND\xaeB`\x82"
)


@pytest.mark.browser
def test_the_page_shows_the_runs_metrics_picture_and_models_of_a_study(tmp_path: Path) -> None:
    store = open_store(open_home(tmp_path / "home"))
    spec = study_spec()
    trials = [
        complete_trial(0, 80.5, 10.25, folder=tmp_path, baseline="no-vmask"),
        complete_trial(1, 79.0, 1 / 3, folder=tmp_path),
        complete_trial(2, 60.0, 0.125, folder=tmp_path),
    ]
    result = ranked_study(spec, [trials[:2], trials[2:]], knee=0)
    writer = writer_of(store, spec)
    writer.start()
    grown = HistoryPoint(trial=2, ended=None, trials=3, epochs=9, hypervolume=123.25)
    picture = tmp_path / "front.png"
    picture.write_bytes(PIXEL)
    assert writer.finish(StudyEnd(result, (grown,), files=[picture])) is None
    register_front(store, result, uid="s1-1", spec=spec)

    with serve_ui(store, 0) as server:
        page = runs_page(server.url, writer.runs.experiment_id, tmp_path / "runs.png")
        assert "4 matching runs" in page.text
        rows = dict(page.rows)
        names = [f"s1 #{trial.number} {trial.label}" for trial in trials]
        assert sorted(rows) == sorted([*names, "s1"])
        # The front first, the study itself, which has no rank, last.
        assert [name for name, _ in page.rows[2:]] == [names[2], "s1"]
        for number, (trial, name) in enumerate(zip(trials, names, strict=True)):
            shown = rows[name]
            assert shown == pytest.approx(
                store.client.get_run(writer.runs.trials[number].run_id).data.metrics
            )
            assert (shown["objective/accuracy"], shown["objective/srs_30"]) == trial.values
        assert rows["s1"]["hypervolume"] == 123.25

        # The link that is printed shows the trials alone, with what a study is about.
        text, columns = view_page(server.url, writer.runs.experiment_id, tmp_path / "view.png")
        assert "3 matching runs" in text
        assert {"metrics.`objective/accuracy`", "metrics.`objective/srs_30`"} <= set(columns)
        assert {"metrics.`pareto_rank`", "params.`lambda_imp`"} <= set(columns)

        with browser_page() as tab:
            runs = experiment_url(server.url, writer.runs.experiment_id).partition("?")[0]
            tab.goto(f"{runs}/{writer.runs.parent.run_id}/artifacts/front.png")
            tab.locator("img[src^='blob:'], img[src*='front.png']").first.wait_for()
            tab.goto(f"{server.url}/#/models/safr-planted")
            tab.get_by_text("s1-best-accuracy").first.wait_for()


@pytest.mark.browser
def test_the_page_of_a_searched_study_shows_all_its_runs_and_their_metrics(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    store = open_store(open_home(finished.home))
    experiment = store.client.get_experiment_by_name(experiment_name(finished.dataset))
    assert experiment is not None
    runs = store.client.search_runs([experiment.experiment_id])
    with serve_ui(store, 0) as server:
        page = runs_page(server.url, experiment.experiment_id, tmp_path / "runs.png")
    assert f"{TRIALS + 1} matching runs" in page.text
    assert len(page.rows) == TRIALS + 1

    def by_name(rows: list[tuple[str, dict[str, float]]]) -> list[tuple[str, dict[str, float]]]:
        return sorted(rows, key=lambda row: (row[0], sorted(row[1].items())))

    shown = by_name(page.rows)
    logged = by_name([(run.info.run_name, run.data.metrics) for run in runs])
    for (name, metrics), (expected_name, expected) in zip(shown, logged, strict=True):
        assert name == expected_name
        assert metrics == pytest.approx(expected)
    assert sum("objective/srs_30" in metrics for _, metrics in shown) == TRIALS
