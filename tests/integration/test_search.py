"""The main command, end to end, from the outside."""

from __future__ import annotations

import csv
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import pytest
from commands import STUDY, TRIALS, Ended, FinishedStudy, command_line, environment, safr
from plain_scores import deletion_at

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.records import TrialRecord, TrialState

AXES = ("accuracy", "srs_30")
FEW = 6
"""Number of trials of the study that is interrupted."""


def ledger(home: Path, study: str = STUDY) -> Ledger:
    storage = open_storage(open_home(home), None, study, create=False)
    assert storage is not None
    loaded = Ledger.load(storage, study)
    assert loaded is not None
    return loaded


def runs(home: Path, study: str = STUDY) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`safr.study` = '{study}'"))


def children(home: Path, study: str = STUDY) -> dict[int, Any]:
    return {
        int(run.data.tags["safr.trial"]): run
        for run in runs(home, study)
        if "safr.trial" in run.data.tags
    }


def numbers(trial: TrialRecord) -> Any:
    """All that must repeat bit for bit: everything but times, places and runs."""
    epochs = [
        (report.epoch, report.train, report.dev_accuracy, report.dev_loss, report.gate_openness)
        for report in trial.epochs
    ]
    digest = trial.checkpoint.sha256 if trial.checkpoint else None
    return (trial.number, trial.parameters, trial.values, trial.scores, digest, epochs)


def dominated(point: tuple[float, ...], others: list[tuple[float, ...]]) -> bool:
    return any(
        all(b >= a for a, b in zip(point, other, strict=True)) and other != point
        for other in others
    )


def test_it_ends_well_and_says_what_to_do_next(finished: FinishedStudy) -> None:
    assert finished.ended.code == 0, finished.ended.err
    for expected in (f"Study {STUDY}: {TRIALS} of {TRIALS} trials", "Hypervolume", "Next:"):
        assert expected in finished.ended.out
    assert "Traceback" not in finished.ended.err
    said = finished.ended.err
    assert "2 trials at once" in said or "1 trial at once" in said
    assert re.search(r"about .* of disk", said)
    assert said.index("trials of at most") < said.index("first epoch:")


def test_every_trial_is_in_the_ledger_and_the_baselines_are_first(finished: FinishedStudy) -> None:
    trials = ledger(finished.home).trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert [trial.baseline for trial in trials[:3]] == ["no-vmask", "vmask-only", None]


def test_mlflow_has_one_parent_and_a_finished_child_per_trial(finished: FinishedStudy) -> None:
    found = runs(finished.home)
    parents = [run for run in found if "safr.trial" not in run.data.tags]
    assert len(parents) == 1
    assert len(found) == TRIALS + 1
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in children(finished.home).values():
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id


def test_the_metrics_of_the_runs_are_those_of_the_ledger(finished: FinishedStudy) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{finished.home / 'mlflow.db'}")
    tracked = children(finished.home)
    for trial in ledger(finished.home).trials():
        run = tracked[trial.number]
        assert run.info.run_id == trial.run_id
        assert tuple(run.data.metrics[f"objective/{axis}"] for axis in AXES) == trial.values
        for key, of in (
            ("dev/accuracy", lambda report: report.dev_accuracy),
            ("dev/loss", lambda report: report.dev_loss),
            ("train/loss", lambda report: report.train.total),
        ):
            history = client.get_metric_history(run.info.run_id, key)
            assert [(m.step, m.value) for m in history] == [
                (report.epoch, of(report)) for report in trial.epochs
            ]
        shown = run.data.params["lambda_imp"]
        wanted = trial.parameters["lambda_imp"]
        assert wanted is None or float(shown) == wanted


def test_the_ranking_is_that_of_brute_force_over_the_runs(finished: FinishedStudy) -> None:
    ended = safr(finished.home, "pareto", STUDY, "--json")
    assert ended.code == 0
    tracked = {
        number: tuple(run.data.metrics[f"objective/{axis}"] for axis in AXES)
        for number, run in children(finished.home).items()
    }
    points = list(tracked.values())
    front = {number for number, point in tracked.items() if not dominated(point, points)}
    document = ended.json
    assert {t["trial"] for t in document["trials"] if t["on_front"]} == front
    # The area above the reference point that the front covers, strip by strip.
    reference = list(document["reference_point"].values())
    area, height = 0.0, reference[1]
    for accuracy, srs in sorted({tracked[n] for n in front}, reverse=True):
        area += max(0.0, accuracy - reference[0]) * max(0.0, srs - height)
        height = max(height, srs)
    assert document["hypervolume"] == pytest.approx(area)
    for number, run in children(finished.home).items():
        assert run.data.metrics["on_front"] == (number in front)
    fronts = {t["trial"]: t["front"] for t in document["trials"]}
    for number, run in children(finished.home).items():
        assert run.data.metrics["pareto_rank"] == fronts[number]


def test_the_parent_run_has_the_picture_and_the_table(finished: FinishedStudy) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{finished.home / 'mlflow.db'}")
    (parent,) = [run for run in runs(finished.home) if "safr.trial" not in run.data.tags]
    names = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert {"front.png", "front.svg", "front.csv"} <= names


def test_a_pulled_model_repeats_the_numbers_of_its_trial(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    listed = safr(finished.home, "models", "--json").json["models"]
    # Where nothing beats the baselines there is no alias.
    version = max(listed, key=lambda model: len(model["aliases"]))
    trial = ledger(finished.home).trial(int(version["tags"]["trial"]))
    assert trial.scores is not None

    reference = f"safr-{finished.dataset}/{version['version']}"
    pulled = safr(finished.home, "pull", reference, "--to", str(tmp_path / "model"))
    assert pulled.code == 0, pulled.err
    ended = safr(
        finished.home,
        *(
            "evaluate",
            str(tmp_path / "model"),
            "--dataset",
            finished.dataset,
            "--split",
            "dev",
            "--json",
        ),
    )
    assert ended.code == 0, ended.err
    scores = ended.json["scores"]
    assert scores["accuracy"] == pytest.approx(trial.scores.accuracy, abs=1e-6)
    (at_30,) = [d for d in scores["deletions"] if d["k"] == 0.3]
    assert at_30["srs"] == pytest.approx(deletion_at(trial.scores, 0.3).srs, abs=1e-6)
    assert [d["k"] for d in scores["deletions"]] == [0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert all(d["accuracy_random"] is not None for d in scores["deletions"])

    again = safr(finished.home, "pull", reference, "--to", str(tmp_path / "model"))
    assert again.code == 2
    assert len(again.err.strip().splitlines()) == 1


def test_a_saturated_trial_is_never_the_choice_or_the_best_in_srs(finished: FinishedStudy) -> None:
    trials = {trial.number: trial for trial in ledger(finished.home).trials()}
    for model in safr(finished.home, "models", "--json").json["models"]:
        roles = {alias.removeprefix(f"{STUDY}-") for alias in model["aliases"]}
        if trials[int(model["tags"]["trial"])].saturated:
            assert not roles & {"knee", "compromise", "best-srs"}


def test_pareto_writes_the_picture_and_the_table(finished: FinishedStudy, tmp_path: Path) -> None:
    ended = safr(finished.home, "pareto", STUDY, "--out", str(tmp_path / "figures"))
    assert ended.code == 0
    svg = (tmp_path / "figures" / f"{STUDY}-front.svg").read_text("utf-8")
    for part in (
        "accuracy on dev (percentage points)",
        "SRS(30) on dev (percentage points)",
        "no-vmask",
    ):
        assert part in svg
    for artist in ("front", "baseline-no-vmask", "baseline-vmask-only"):
        assert f'id="{artist}"' in svg
    with (tmp_path / "figures" / f"{STUDY}-front.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == TRIALS
    assert (tmp_path / "figures" / f"{STUDY}-front.png").stat().st_size > 10_000


def test_nothing_of_ours_is_a_pickle_and_ray_leaves_nothing(finished: FinishedStudy) -> None:
    names = [path.name for path in finished.home.rglob("*") if path.is_file()]
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin"))]
    assert not list((finished.home / "ray").glob("*/*"))
    assert sum(name == "weights.safetensors" for name in names) >= TRIALS


def test_the_same_command_again_does_nothing_but_show(finished: FinishedStudy) -> None:
    before = [numbers(trial) for trial in ledger(finished.home).trials()]
    ended = safr(finished.home, *finished.command)
    assert ended.code == 0
    assert [numbers(trial) for trial in ledger(finished.home).trials()] == before
    assert len(runs(finished.home)) == TRIALS + 1


def test_other_settings_under_the_same_name_are_refused(finished: FinishedStudy) -> None:
    ended = safr(finished.home, *finished.command, "--seed", "1")
    assert ended.code == 2
    assert "seed: 0 before, 1 now" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_an_interrupted_study_ends_with_130_and_goes_on_to_the_same_numbers(
    planted: FinishedStudy, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    said = []
    # What lies where the user stands is no library, neither for the command nor for its workers.
    for name in ("torch", "pandas", "colorsys", "secrets"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was run')")
    # Random search: the first of many trials are those of a study of few.
    command = [*planted.command, "--trials", str(FEW)]
    with subprocess.Popen(
        command_line(*command, "--max-concurrent", "1"),
        env=environment(home),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if line.startswith("trial 1 "):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130, said
    assert "error: study 's1' was interrupted" in said[-1]
    assert "Traceback" not in "".join(said)
    states = [trial.state for trial in ledger(home).trials()]
    assert states.count(TrialState.COMPLETE) < FEW
    assert "RUNNING" not in {run.info.status for run in runs(home)}

    resumed = safr(home, *command)
    assert resumed.code == 0, resumed.err
    assert "going on: " in resumed.err
    expected = [numbers(trial) for trial in ledger(planted.home).trials()[:FEW]]
    assert [numbers(trial) for trial in ledger(home).trials()] == expected
    assert len(runs(home)) == FEW + 1
    assert {run.info.status for run in runs(home)} == {"FINISHED"}


def four_class_file(folder: Path) -> Path:
    ways = ("north", "south", "east", "west")
    rows = [("", "north")]
    rows += [(f"go {way} now and then word{n % 5} day{n}", way) for n in range(125) for way in ways]
    path = folder / "compass.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("body", "way"), *rows])
    return path


def test_a_file_of_ones_own_with_four_classes_and_an_empty_text(tmp_path: Path) -> None:
    home = tmp_path / "home"
    path = four_class_file(tmp_path)
    columns = ("--text-column", "body", "--label-column", "way")
    limits = ("--trials", "2", "--epochs", "1", "--space", "smoke")
    ended = safr(home, "search", "--dataset", path.name, *columns, *limits, "--json")
    assert ended.code == 0, ended.err
    assert "4 classes" in ended.err
    assert "1 empty text" in ended.err
    document = ended.json
    assert len(document["trials"]) == 2
    assert document["reference_point"]["accuracy"] == pytest.approx(25.0, abs=2.0)
    # Without --study the name comes from the data set and the settings.
    assert re.fullmatch(r"compass-[0-9a-f]{8}", document["study"])


def test_a_trial_that_fails_is_recorded_and_the_study_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "broken.yaml").write_text(
        "name: broken\n"
        "parameters:\n"
        "  gumbel_temperature: {type: categorical, choices: [1.0e-45, 1.0]}\n"
        "baselines: []\n"
        "fixed: {embed_dim: 16, ffn_dim: 16, heads: 2, mask_hidden_dim: 16}\n",
        encoding="utf-8",
    )
    ended = safr(
        home,
        *("search", "--dataset", "planted", "--train-limit", "200", "--study", "broken"),
        *("--space", "broken.yaml", "--sampler", "grid", "--trials", "2", "--epochs", "1"),
    )
    assert ended.code == 3, ended.err
    assert "not finite" in ended.out
    assert ended.err.strip().splitlines()[-1].startswith("error: study 'broken' ended with 1 ")
    failed, complete = ledger(home, "broken").trials()
    assert failed.state is TrialState.FAILED
    assert failed.failure is not None
    assert "not finite" in failed.failure
    assert complete.state is TrialState.COMPLETE
    statuses = {n: run.info.status for n, run in children(home, "broken").items()}
    assert statuses == {0: "FAILED", 1: "FINISHED"}
    tags = children(home, "broken")[1].data.params
    assert tags["train_limit"] == "200"


def test_freeze_thaw_pauses_trials_and_goes_on_with_some_of_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ended = safr(
        home,
        *("search", "--dataset", "planted", "--train-limit", "200", "--study", "thaw"),
        *("--space", "smoke", "--trials", "8", "--epochs", "4", "--scheduler", "freeze-thaw"),
    )
    assert ended.code == 0, ended.err
    assert "without the luck of single trainings" in ended.out
    trials = ledger(home, "thaw").trials()
    assert len(trials) == 8
    assert {t.state for t in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(t.state is TrialState.COMPLETE for t in trials if t.baseline)
    searched = [t for t in trials if t.baseline is None]
    resumed = [t for t in searched if t.state is TrialState.COMPLETE]
    assert resumed
    # Another run of a worker went on where the first had paused: no epoch twice, none left out.
    assert all(len(t.attempts) == 2 for t in resumed)
    for trial in searched:
        epochs = 4 if trial in resumed else 2
        assert [report.epoch for report in trial.epochs] == list(range(1, epochs + 1))
    kept = {int(folder.name) for folder in (home / "checkpoints").glob("thaw-*/*")}
    assert kept == {t.number for t in trials if t.state is TrialState.COMPLETE}
    assert not list((home / "checkpoints").glob("thaw-*/*/state"))


def test_a_dry_run_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    ended: Ended = safr(home, "search", "--dataset", "planted", "--study", "later", "--dry-run")
    assert ended.code == 0
    assert "24 trials of at most 20 epochs" in ended.out
    assert not (home / "ledgers").exists()
    assert not (home / "mlflow.db").exists()
