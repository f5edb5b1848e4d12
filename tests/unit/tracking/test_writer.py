from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from plain_scores import changed
from synthetic_study import (
    PROVENANCE,
    complete_trial,
    epoch,
    ranked_study,
    study_spec,
    trial,
    writer_of,
)

from safr_study.home import Home
from safr_study.records import (
    LayerMeasures,
    Scores,
    StudyResult,
    TrialState,
)
from safr_study.records.scores import OF_DELETION
from safr_study.records.warnings import trial_warnings
from safr_study.render.history import hypervolume_history
from safr_study.settings.metrics import OF_CURVE, OF_RATIONALE
from safr_study.tracking.entries import meanings
from safr_study.tracking.store import Store
from safr_study.tracking.study_runs import StudyEnd
from safr_study.tracking.writer import StudyWriter

EPOCH_METRICS = {
    "train/loss": lambda report: report.train.total,
    "train/cross_entropy": lambda report: report.train.cross_entropy,
    "train/importance": lambda report: report.train.importance,
    "train/interaction": lambda report: report.train.interaction,
    "dev/accuracy": lambda report: report.dev_accuracy,
    "dev/loss": lambda report: report.dev_loss,
    "gate/openness": lambda report: report.gate_openness,
    "embedding/mean_norm": lambda report: report.mean_norm,
    "time/epoch_seconds": lambda report: report.seconds,
}


def test_every_metric_of_every_epoch_comes_back_at_its_step(store: Store, home: Home) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    running = trial(0)
    writer.trial_started(running)
    for number in (1, 2, 3):
        running = trial(0, epochs=number)
        writer.epoch_ended(running, running.epochs[-1])
    assert writer.finish() is None
    expected = {
        (key, number): value(epoch(number))
        for key, value in EPOCH_METRICS.items()
        for number in (1, 2, 3)
    }
    run_id = writer.runs.trials[0].run_id
    assert _history(home, run_id) == expected
    assert store.client.get_run(run_id).info.status == "RUNNING"


def test_a_run_that_mlflow_heard_of_late_lasts_as_long_as_its_trial(store: Store) -> None:
    first = writer_of(store, study_spec())
    first.start()
    first.trial_started(trial(0))
    assert first.finish() is None
    # Its writer was busy: the trial had ended before its run began.
    done = replace(complete_trial(0, 80.0, 10.0, epochs=3), ended=1_700_000_000.0)
    second = writer_of(store, study_spec())
    second.start()
    second.trial_ended(done)
    assert second.finish() is None
    info = store.client.get_run(second.runs.trials[0].run_id).info
    took = max(done.seconds, sum(report.seconds for report in done.epochs))
    assert info.end_time - info.start_time == round(1000 * took)


def test_an_epoch_takes_its_place_in_time_from_the_time_spent(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    writer.trial_ended(complete_trial(0, 80.0, 10.0, epochs=3))
    assert writer.finish() is None
    run = store.client.get_run(writer.runs.trials[0].run_id)
    history = store.client.get_metric_history(run.info.run_id, "dev/loss")
    # 2.5 + n / 8 seconds each
    assert [metric.timestamp - run.info.start_time for metric in history] == [2625, 5375, 8250]
    assert run.info.end_time - run.info.start_time >= 9250


def test_a_complete_trial_has_the_ledgers_objectives_and_scores(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    trial = complete_trial(4, 81.1, 1 / 3, epochs=1)
    writer.trial_ended(trial)
    assert writer.finish() is None
    run = store.client.get_run(writer.runs.trials[4].run_id)
    once = {key: value for key, value in run.data.metrics.items() if key not in EPOCH_METRICS}
    assert once == {
        "objective/accuracy": 81.1,
        "objective/srs_30": 1 / 3,
        "dev/best_accuracy": 81.1,
        "dev/accuracy_se": 2.125,
        "dev/best_loss": 0.625,
        "dev/majority_accuracy": 51.5,
        "dev/examples": 200,
        "deletion/realised_share_30": 0.296875,
        "deletion/accuracy_top_30": 81.1 - 1 / 3,
        "deletion/srs_30": 1 / 3,
        "deletion/srs_se_30": 1.75,
        "deletion/dominant_share_30": 0.53125,
        "deletion/saturated_30": 0,
        "deletion/saturated": 0,
        "time/trial_seconds": 3.625,
    }
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "s1 #4 imp=0.0167"
    # What the study fixes too: by it the trials of several studies are compared.
    assert run.data.params == {
        "vmask": "true",
        "lambda_imp": repr(0.05 / 3),
        "seed": "7",
        "max_len": "null",
        "train_limit": "40",
        "dev_limit": "null",
        "preset": "masked",
        "learning_rate": "0.0001",
        "batch_size": "32",
        "epochs": "20",
        "patience": "3",
        "threads": "1",
        "precision": "auto",
        "embed_dim": "256",
        "ffn_dim": "1024",
        "heads": "8",
        "layers": "1",
        "mask_hidden_dim": "1024",
        "dropout": "0.1",
        "gumbel_temperature": "1.0",
        "lambda_inter": "0.0",
        "vmask_beta": "0.0",
        "interference": "dot",
        "interaction_scale": "cell",
    }
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == writer.runs.parent.run_id
    assert (tags["safr.uid"], tags["safr.trial"], tags["safr.epochs"]) == ("s1-1", "4", "1")
    assert (tags["dataset"], tags["preset"], tags["commit"]) == ("planted", "masked", "c0ffee")
    assert (tags["study"], tags["sampler"], tags["space"]) == ("s1", "tpe", "lambda")
    assert "accuracy 81.1 points, SRS(30) 0.3333 points" in tags["mlflow.note.content"]
    assert tags["safr.state"] == "complete"


def test_system_metrics_are_where_the_page_looks_for_them(store: Store, home: Home) -> None:
    taken = {"cpu_utilization_percentage": 12.5, "system_memory_usage_megabytes": 900.25}
    done = complete_trial(0, 80.0, 10.0)
    done = replace(done, epochs=tuple(replace(one, system=taken) for one in done.epochs))
    writer = writer_of(store, study_spec())
    writer.start()
    writer.trial_ended(done)
    assert writer.finish() is None
    history = _history(home, writer.runs.trials[0].run_id)
    for name, value in taken.items():
        assert [history[f"system/{name}", step] for step in (1, 2)] == [value, value]
        assert _meanings(f"system/{name}") != []


def test_measures_that_are_absent_are_not_logged_as_numbers(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    writer.trial_ended(complete_trial(0, 80.0, 10.0, baseline="no-vmask"))
    assert writer.finish() is None
    run = store.client.get_run(writer.runs.trials[0].run_id)
    assert {"train/importance", "train/interaction", "gate/openness"}.isdisjoint(run.data.metrics)
    assert "deletion/srs_excess_30" not in run.data.metrics
    assert run.data.params["lambda_imp"] == "null"
    assert run.data.tags["safr.baseline"] == "no-vmask"
    assert run.info.run_name == "s1 #0 no-vmask"


def test_effective_weights_and_warnings_are_on_the_trials_run(store: Store, home: Home) -> None:
    done = complete_trial(0, 80.0, 10.0)
    weights = {
        "effective_importance": 2.5,
        "effective_interaction": 0.25 / 1024,
        "effective_information": 0.5,
    }
    weak = replace(done, epochs=tuple(replace(e, **weights) for e in done.epochs))
    writer = writer_of(store, study_spec())
    writer.start()
    # While it runs, what is said of it may change.
    writer.trial_started(replace(weak, state=TrialState.RUNNING, values=None, scores=None))
    assert writer.finish() is None
    assert "warnings" not in store.client.get_run(writer.runs.trials[0].run_id).data.tags
    writer = writer_of(store, study_spec())
    writer.start()
    writer.trial_ended(weak)
    writer.trial_ended(complete_trial(1, 80.0, 10.0))
    assert writer.finish() is None
    history = _history(home, writer.runs.trials[0].run_id)
    for key, value in weights.items():
        metric = key.replace("effective_", "effective/")
        assert [history[metric, step] for step in (1, 2)] == [value, value]
    said = store.client.get_run(writer.runs.trials[0].run_id).data.tags["warnings"]
    assert said == " ".join(trial_warnings(weak))
    assert said.startswith("lambda_inter is inert: ")
    sound = store.client.get_run(writer.runs.trials[1].run_id).data
    assert "warnings" not in sound.tags
    assert not any(key.startswith("effective/") for key in sound.metrics)


def test_the_parent_describes_the_study(store: Store) -> None:
    spec = study_spec(dataset="/data/My texts (v2).csv")
    writer = writer_of(store, spec)
    writer.start()
    assert writer.finish() is None
    experiment = store.client.get_experiment(writer.runs.experiment_id)
    assert experiment.name == "safr/my-texts-v2"
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.artifact_location == (store.artifact_root / "my-texts-v2").as_uri()
    parent = store.client.get_run(writer.runs.parent.run_id)
    assert parent.info.run_name == "s1"
    assert parent.data.params["corpus.train_limit"] == "40"
    assert parent.data.params["space.parameters.lambda_imp.high"] == "1.0"
    assert json.loads(parent.data.params["objectives"])[1] == {"name": "srs@30"}
    assert parent.data.tags["safr.kind"] == "study"
    assert parent.data.tags["version.torch"] == "2.13"
    assert parent.data.tags["corpus.empty texts _dev_"] == "1"
    assert "at most 40 train texts" in parent.data.tags["mlflow.note.content"]
    dataset = parent.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("my-texts-v2", PROVENANCE.corpus_fingerprint[:16])
    kept = Path(store.client.download_artifacts(writer.runs.parent.run_id, "study.json"))
    assert json.loads(kept.read_text()) == spec.model_dump(mode="json")


def test_starting_and_replaying_again_changes_nothing(store: Store, home: Home) -> None:
    spec = study_spec()
    ended = [complete_trial(0, 80.0, 10.0), trial(1, state=TrialState.FAILED, failure="why")]
    result = ranked_study(spec, [[ended[0]]], unranked=(ended[1],))
    contents = []
    for _ in range(3):
        writer = writer_of(store, spec)
        writer.start(ended)
        assert writer.finish(StudyEnd(result)) is None
        contents.append(_contents(home))
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]["runs"]) == 3


def test_a_study_begun_afresh_has_runs_of_its_own(store: Store, home: Home) -> None:
    for uid in ("s1-1", "s1-2"):
        writer = writer_of(store, study_spec(), uid)
        writer.start([complete_trial(0, 80.0, 10.0)])
        assert writer.finish() is None
    assert len(_contents(home)["runs"]) == 4


def test_a_resumed_trial_goes_on_in_its_run(store: Store, home: Home) -> None:
    spec = study_spec()
    first = writer_of(store, spec)
    first.start()
    first.epoch_ended(trial(0, epochs=2), epoch(2))
    assert first.finish() is None
    run_id = first.runs.trials[0].run_id

    second = writer_of(store, study_spec(trials=5))
    second.start([trial(0, epochs=1)])
    assert second.finish() is None
    assert second.runs.trials[0].run_id == run_id
    assert store.client.get_run(run_id).info.status == "KILLED"

    third = writer_of(store, spec)
    third.start()
    third.trial_started(trial(0, epochs=1))
    # Trained again from the checkpoint of epoch 1, in another time.
    again = replace(epoch(2), seconds=99.0)
    third.epoch_ended(replace(trial(0), epochs=(epoch(1), again)), again)
    assert third.finish() is None
    assert store.client.get_run(run_id).info.status == "RUNNING"

    fourth = writer_of(store, spec)
    fourth.start()
    fourth.trial_ended(complete_trial(0, 80.0, 10.0, epochs=3))
    assert fourth.finish() is None
    assert store.client.get_run(run_id).info.status == "FINISHED"
    steps = [(key, step) for _, key, _, step in _contents(home)["metrics"] if key in EPOCH_METRICS]
    assert sorted(steps) == sorted((key, n) for key in EPOCH_METRICS for n in (1, 2, 3))
    assert _history(home, run_id)["time/epoch_seconds", 2] == epoch(2).seconds


def test_epochs_that_came_without_the_mark_that_says_so_are_not_doubled(
    store: Store, home: Home
) -> None:
    spec = study_spec()
    first = writer_of(store, spec)
    first.start([trial(0, epochs=2)])
    assert first.finish() is None
    before = _contents(home)["metrics"]
    store.client.delete_tag(first.runs.trials[0].run_id, "safr.epochs")
    second = writer_of(store, spec)
    second.start([replace(trial(0), epochs=(epoch(1), replace(epoch(2), train=epoch(1).train)))])
    assert second.finish() is None
    assert _contents(home)["metrics"] == before


def test_a_failed_trial_shows_its_sentence_until_it_succeeds(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    writer.trial_ended(
        trial(0, state=TrialState.FAILED, epochs=1, failure="the loss is not finite")
    )
    assert writer.finish() is None
    run = store.client.get_run(writer.runs.trials[0].run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["safr.failure"] == "the loss is not finite"

    retry = writer_of(store, study_spec())
    retry.start()
    retry.trial_ended(complete_trial(0, 80.0, 10.0))
    assert retry.finish() is None
    run = store.client.get_run(writer.runs.trials[0].run_id)
    assert run.info.status == "FINISHED"
    assert "safr.failure" not in run.data.tags


def test_a_pruned_trial_is_no_failure_and_a_waiting_one_has_no_run(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.start([trial(0, state=TrialState.PRUNED), trial(1, state=TrialState.WAITING)])
    assert writer.finish() is None
    run = store.client.get_run(writer.runs.trials[0].run_id)
    assert (run.info.status, run.data.tags["safr.state"]) == ("FINISHED", "pruned")
    assert writer.runs.run_ids() == {0: run.info.run_id}


def test_the_end_of_a_study_writes_ranks_outcome_and_files(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = tmp_path / "front.csv"
    front.write_text("trial\n0\n")
    spec = study_spec()
    best = replace(complete_trial(0, 80.0, 10.0), ended=1_700_000_020.5)
    rest = replace(complete_trial(1, 70.0, 5.0), ended=1_700_000_010.25)
    result = ranked_study(spec, [[best], [rest]], knee=0, unranked=(trial(2),))
    history = hypervolume_history(result)
    assert [point.hypervolume for point in history] == [100.0, 300.0]
    table = pd.DataFrame({"trial": [0, 1], "crowding": [float("inf"), 0.5], "knee": [True, False]})
    writer = writer_of(store, spec)
    writer.start()
    end = StudyEnd(
        result,
        history,
        files=[front],
        tables={"tables/trials.json": table},
    )
    said = writer.finish(end)
    assert said is None
    runs = [store.client.get_run(writer.runs.trials[number].run_id) for number in (0, 1)]
    assert [run.data.metrics["pareto_rank"] for run in runs] == [0, 1]
    assert [run.data.metrics["on_front"] for run in runs] == [1, 0]
    assert [run.data.tags["on_front"] for run in runs] == ["true", "false"]
    assert [run.data.tags["knee"] for run in runs] == ["true", "false"]
    # The trial's own times, whenever it is written.
    assert [(run.info.start_time, run.info.end_time) for run in runs] == [
        (1_700_000_020_500 - 6_375, 1_700_000_020_500),
        (1_700_000_010_250 - 6_375, 1_700_000_010_250),
    ]
    # An infinite crowding distance is no number.
    assert "crowding" not in runs[0].data.metrics
    parent = store.client.get_run(writer.runs.parent.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == {
        "hypervolume": 300.0,
        "front/size": 1,
        "trials/asked": 3,
        "trials/complete": 2,
        "trials/running": 1,
        "trials/failed": 0,
        "trials/pruned": 0,
        "trials/waiting": 0,
    }
    grown = store.client.get_metric_history(writer.runs.parent.run_id, "hypervolume")
    assert [(metric.step, metric.value, metric.timestamp) for metric in grown] == [
        (1, 100.0, 1_700_000_010_250),
        (2, 300.0, 1_700_000_020_500),
    ]
    kept = Path(store.client.download_artifacts(writer.runs.parent.run_id, "front.csv"))
    assert kept.read_text() == "trial\n0\n"
    # As MLflow reads a table of its own, also of several runs at once.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    loaded = store.client.load_table(
        writer.runs.experiment_id, "tables/trials.json", [writer.runs.parent.run_id], ["run_id"]
    )
    assert loaded["trial"].tolist() == [0, 1]
    assert pd.isna(loaded["crowding"][0])
    assert set(loaded["run_id"]) == {writer.runs.parent.run_id}


def test_every_metric_of_a_scored_trial_has_a_meaning_and_a_unit(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    whole = complete_trial(0, 80.0, 10.0)
    whole = replace(whole, scores=_scored_in_every_way(whole.scores))
    result = ranked_study(study_spec(), [[whole]])
    assert writer.finish(StudyEnd(result, hypervolume_history(result))) is None
    runs = [
        store.client.get_run(writer.runs.trials[0].run_id),
        store.client.get_run(writer.runs.parent.run_id),
    ]
    keys = {key for run in runs for key in run.data.metrics}
    assert {key.partition("/")[0] for key in keys} >= {"train", "dev", "deletion", "superposition"}
    assert {key for key in keys if not _meanings(key)} == set()
    assert {unit for _, unit in _meanings("deletion/srs_se_30")} == {"percentage points"}
    ((_, unit),) = _meanings("superposition/ffn1_pre/mean_capacity")
    assert unit == "share, 0 to 1"
    assert _meanings("train/nonsense") == []
    assert (
        "| `deletion/srs_K` | SRS, higher is better | percentage points |"
        in (runs[1].data.tags["mlflow.note.content"])
    )


def test_an_interrupted_study_is_killed_and_runs_again_when_it_goes_on(store: Store) -> None:
    spec = study_spec()
    first = writer_of(store, spec)
    first.start()
    first.trial_started(trial(0))
    result = ranked_study(spec, [], unranked=(trial(0, epochs=1),))
    assert first.finish(StudyEnd(result, interrupted=True)) is None
    assert _statuses(store, first.runs.parent.run_id, first.runs.trials[0].run_id) == [
        "KILLED",
        "KILLED",
    ]

    second = writer_of(store, spec)
    second.start()
    second.trial_started(trial(0, epochs=1))
    assert second.finish() is None
    assert _statuses(store, second.runs.parent.run_id, second.runs.trials[0].run_id) == [
        "RUNNING",
        "RUNNING",
    ]
    assert (second.runs.parent.run_id, second.runs.trials[0].run_id) == (
        first.runs.parent.run_id,
        first.runs.trials[0].run_id,
    )


def test_a_rank_that_changes_is_replaced(store: Store) -> None:
    spec = study_spec()
    old = complete_trial(0, 70.0, 5.0)
    for fronts in ([[old]], [[complete_trial(1, 80.0, 10.0)], [old]]):
        writer = writer_of(store, spec)
        writer.start()
        assert writer.finish(StudyEnd(ranked_study(spec, fronts))) is None
    run = store.client.get_run(writer.runs.trials[0].run_id)
    assert (run.data.metrics["pareto_rank"], run.data.tags["pareto_rank"]) == (1, "1")


def test_more_metrics_than_one_call_takes_are_all_written(store: Store, home: Home) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    writer.trial_ended(complete_trial(0, 80.0, 10.0, epochs=120))
    assert writer.finish() is None
    history = _history(home, writer.runs.trials[0].run_id)
    assert sum(key in EPOCH_METRICS for key, _ in history) == 120 * len(EPOCH_METRICS) > 1000
    assert history["train/loss", 120] == 1.5 / 120


def test_a_server_that_fails_for_a_while_gets_everything_in_the_end(
    store: Store, home: Home
) -> None:
    writer = writer_of(store, study_spec())
    writer.start()
    with _broken(home):
        writer.trial_started(trial(0))
        writer.epoch_ended(trial(0, epochs=1), epoch(1))
        writer.trial_ended(complete_trial(0, 80.0, 10.0))
        writer.trial_ended(complete_trial(1, 70.0, 12.0))
    assert writer.finish() is None
    for number in (0, 1):
        assert store.client.get_run(writer.runs.trials[number].run_id).info.status == "FINISHED"
        history = _history(home, writer.runs.trials[number].run_id)
        assert {step for key, step in history if key in EPOCH_METRICS} == {1, 2}


def test_what_a_dead_server_did_not_take_is_told_and_replayed_later(
    store: Store, home: Home
) -> None:
    spec = study_spec()
    ended = [complete_trial(0, 80.0, 10.0), complete_trial(1, 70.0, 12.0)]
    result = ranked_study(spec, [ended])
    writer = writer_of(store, spec)
    writer.start()
    with _broken(home):
        for record in ended:
            writer.trial_ended(record)
        sentence = writer.finish(StudyEnd(result), patience=0.5)
    assert sentence is not None
    assert "3 runs could not be brought up to date" in sentence
    assert "mlflow.db" in sentence
    assert "\n" not in sentence

    later = writer_of(store, spec)
    later.start()
    assert later.finish(StudyEnd(result)) is None
    assert _statuses(store, later.runs.parent.run_id, later.runs.trials[0].run_id) == [
        "FINISHED",
        "FINISHED",
    ]


def test_a_run_that_the_server_refuses_is_told_and_the_others_are_written(store: Store) -> None:
    spec = study_spec()
    first = writer_of(store, spec)
    first.start()
    first.trial_started(trial(0))
    assert first.finish() is None
    second = writer_of(store, spec)
    second.start()
    store.client.delete_run(first.runs.trials[0].run_id)
    second.trial_ended(complete_trial(0, 80.0, 10.0))
    second.trial_ended(complete_trial(1, 70.0, 12.0))
    sentence = second.finish()
    assert sentence is not None
    assert "refused" in sentence
    assert _statuses(store, second.runs.trials[1].run_id) == ["FINISHED"]


def test_a_deleted_experiment_is_taken_up_again(store: Store) -> None:
    first = writer_of(store, study_spec())
    first.start()
    assert first.finish() is None
    store.client.delete_experiment(first.runs.experiment_id)
    second = writer_of(store, study_spec())
    second.start()
    assert second.finish() is None
    assert second.runs.experiment_id == first.runs.experiment_id
    assert store.client.get_experiment(first.runs.experiment_id).lifecycle_stage == "active"


def test_nothing_happens_before_the_start(store: Store) -> None:
    writer = writer_of(store, study_spec())
    writer.trial_started(trial(0))
    nothing = StudyResult("s1", "planted", ("accuracy",), (0.0,), 0.0, ())
    assert writer.finish(StudyEnd(nothing)) is None
    assert (writer.runs.parent, writer.runs.run_ids()) == (None, {})
    assert store.client.search_runs(["0"]) == []


def _meanings(key: str) -> list[tuple[str, str]]:
    """What is said of a metric, and its unit, by the names as the page's table writes them."""
    found = []
    for name, meaning in meanings().items():
        pattern = re.escape(name)
        pattern = re.sub(r"\\\[(.*?)\\\]", lambda each: f"({each[1].replace(',', '|')})?", pattern)
        pattern = re.sub(r"\\\{(.*?)\\\}", lambda each: f"({each[1].replace(',', '|')})", pattern)
        pattern = re.sub(r"\b(NAME|LAYER)\b|(?<=_)K\b|\\\.\\\.\\\.", ".+", pattern)
        if re.fullmatch(pattern, key):
            found.append(meaning)
    return found


def _scored_in_every_way(scores: Scores) -> Scores:
    deletion = dict.fromkeys(OF_DELETION, 0.5) | {"k": 0.3}
    layer = dict.fromkeys(LayerMeasures.__slots__, 0.5) | {"layer": "ffn1_pre", "block": 0}
    return changed(
        scores,
        deletions=[deletion],
        curve=dict.fromkeys(OF_CURVE, 0.5),
        kendall_tau=0.5,
        agreements=[{"ranking": "capacity", "texts": 9, **dict.fromkeys(OF_RATIONALE, 0.5)}],
        superposition=[layer, layer | {"block": 1}],
        gate_openness=0.5,
    )


def _history(home: Home, run_id: str | None) -> dict[tuple[str, int], float]:
    """All points of a run, read without MLflow; a point that is there twice fails."""
    rows = [row[1:] for row in _contents(home)["metrics"] if row[0] == run_id]
    points = {(key, step): value for key, value, step in rows}
    assert len(points) == len(rows)
    return points


def _contents(home: Home) -> dict[str, list[tuple[object, ...]]]:
    queries = {
        "runs": "select run_uuid, name, start_time, lifecycle_stage from runs",
        "metrics": "select run_uuid, key, value, step from metrics",
        "params": "select run_uuid, key, value from params",
        "tags": "select run_uuid, key, value from tags",
        "inputs": "select source_id, destination_id from inputs",
    }
    with closing(sqlite3.connect(home.tracking_database)) as database:
        return {name: sorted(database.execute(query)) for name, query in queries.items()}


def _run_ids(writer: StudyWriter) -> tuple[str, str]:
    """Of the study and of its first trial."""
    assert writer.runs.parent is not None
    return writer.runs.parent.run_id, writer.runs.trials[0].run_id


def _statuses(store: Store, *run_ids: str | None) -> list[str]:
    return [store.client.get_run(run_id).info.status for run_id in run_ids]


@contextmanager
def _broken(home: Home) -> Iterator[None]:
    """A database that answers every write with an error."""
    with closing(sqlite3.connect(home.tracking_database)) as database:
        database.execute("alter table runs rename to gone")
        database.commit()
        yield
        database.execute("alter table gone rename to runs")
        database.commit()
