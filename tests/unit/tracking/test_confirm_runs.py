from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_confirmation import draw, run
from synthetic_study import (
    checkpoint,
    complete_trial,
    study_spec,
    tracked_study,
    writer_of,
)

from safr_study.errors import CorruptCheckpoint, ServiceUnreachable
from safr_study.pareto import rank_study
from safr_study.records import RegisteredModel, StudyResult
from safr_study.records.run import RunResult
from safr_study.tracking.confirm_runs import register_confirmed, track_confirmation
from safr_study.tracking.pull import find_model, pull
from safr_study.tracking.registry import list_models, register_front
from safr_study.tracking.store import Store
from safr_study.tracking.study_runs import StudyEnd
from safr_study.uncertainty.confirmation import Confirmation, confirmation

ROLES = ("compromise", "best-accuracy", "best-srs")
"""Fronts of one or two members have no knee."""
SPEC = study_spec()
UID = "s1-1"
VALUES = {0: (80.0, 5.0), 1: (70.0, 20.0)}
"""The search's front: trial 0 is its best in accuracy, trial 1 in SRS."""
RATES = {0: (0.6, 0.5), 1: (0.9, 0.3)}
"""Under new seeds trial 1 is the better in both."""


def study(folder: Path) -> StudyResult:
    trials = [complete_trial(n, *values, folder=folder / "c") for n, values in VALUES.items()]
    return rank_study("s1", "planted", ("accuracy", "srs@30"), (50.0, 0.0), trials, asked=2)


def confirmed(result: StudyResult, folder: Path, seeds: Sequence[int] = (1, 2, 3)) -> Confirmation:
    runs = {}
    for number, (full, top) in RATES.items():
        for seed in seeds:
            one = 100 * number + seed
            kept = checkpoint(folder / "new" / f"{number}-{seed}", one)
            answers = (draw(full, one), draw(top, one + 50))
            runs[number, seed] = run(number, seed, *answers, checkpoint=kept, test=answers)
    return confirmation(result, runs, seeds)


def searched(store: Store, folder: Path) -> StudyResult:
    """The study, tracked and registered as its search leaves it."""
    result = study(folder)
    writer = writer_of(store, SPEC)
    writer.start()
    assert writer.finish(StudyEnd(result)) is None
    register_front(store, result, uid=UID, spec=SPEC)
    return result


def publish(store: Store, found: Confirmation, files: Sequence[Path] = ()) -> list[RegisteredModel]:
    tracked = tracked_study(SPEC, UID)
    ids = track_confirmation(store, found, tracked, files)
    return register_confirmed(store, found, tracked, ids)


def aliases(store: Store) -> dict[str, str]:
    """Trial and seed by alias; no seed for a version of the search."""
    return {
        alias: f"{version.tags['trial']}/{version.tags.get('seed', '')}"
        for version in list_models(store)
        for alias in version.aliases
    }


def test_the_aliases_move_to_the_typical_model_of_the_confirmed_members(
    store: Store, tmp_path: Path
) -> None:
    result = searched(store, tmp_path)
    assert aliases(store)["s1-best-accuracy"] == "0/"
    found = confirmed(result, tmp_path)
    (version,) = publish(store, found)
    (one,) = [one for one in found.trials if one.on_front]
    assert one.trial.number == 1
    assert one.typical is not None
    held = {f"{prefix}{role}": f"1/{one.typical.seed}" for role in ROLES for prefix in ("", "s1-")}
    assert aliases(store) == held
    interval = one.dev[0].interval
    assert interval is not None
    expected = {
        "trial": "1",
        "seed": str(one.typical.seed),
        "confirmed_seeds": "3",
        "accuracy": repr(one.typical.values[0]),
        "accuracy_mean": repr(interval.mean),
        "accuracy_low": repr(interval.low),
        "accuracy_high": repr(interval.high),
        "test_srs_30_mean": repr(one.test[1].mean),
        "front_probability": repr(one.front_probability),
    }
    assert {key: version.tags[key] for key in expected} == expected
    # The version has the very model of that run.
    folder = pull(store, "safr-planted@compromise", tmp_path / "pulled")
    kept = tmp_path / "new" / f"1-{one.typical.seed}" / "weights.safetensors"
    assert (folder / "weights.safetensors").read_bytes() == kept.read_bytes()


def test_each_run_is_a_child_of_the_study_once(store: Store, tmp_path: Path) -> None:
    result = searched(store, tmp_path)
    picture = tmp_path / "front.svg"
    picture.write_text("<svg/>", encoding="utf-8")
    found = confirmed(result, tmp_path)
    first = publish(store, found, [picture])
    assert publish(store, found, [picture]) == first
    (experiment,) = [e for e in store.client.search_experiments() if e.name == "safr/planted"]
    everything = store.client.search_runs([experiment.experiment_id])
    (parent,) = [r for r in everything if r.data.tags["safr.kind"] == "study"]
    children = [r for r in everything if r.data.tags["safr.kind"] == "confirm"]
    assert len(everything) == 1 + 2 + 6
    keys = {(int(r.data.tags["safr.trial"]), int(r.data.tags["safr.seed"])) for r in children}
    assert keys == {(number, seed) for number in (0, 1) for seed in (1, 2, 3)}
    runs = {(done.trial, done.seed): done for one in found.trials for done in one.runs}
    for child in children:
        done = runs[int(child.data.tags["safr.trial"]), int(child.data.tags["safr.seed"])]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.info.status == "FINISHED"
        assert child.info.end_time - child.info.start_time == 12_500
        assert child.data.params["seed"] == str(done.seed)
        assert child.data.metrics["objective/accuracy"] == done.values[0]
        assert done.test is not None
        assert child.data.metrics["test/srs_30"] == done.test.values[1]
    files = {f.path for f in store.client.list_artifacts(parent.info.run_id, "confirm")}
    assert files == {"confirm/front.svg"}


def test_a_failed_run_is_a_failed_child(store: Store, tmp_path: Path) -> None:
    result = searched(store, tmp_path)
    failed = RunResult(0, 1, ended="2026-01-02T03:04:05+00:00", failure="it diverged")
    found = confirmation(result, {(0, 1): failed}, (1,))
    ids = track_confirmation(store, found, tracked_study(SPEC, UID))
    child = store.client.get_run(ids[0, 1])
    assert (child.info.status, child.data.tags["safr.failure"]) == ("FAILED", "it diverged")


def test_what_one_seed_says_does_not_take_the_aliases_back(store: Store, tmp_path: Path) -> None:
    result = searched(store, tmp_path)
    publish(store, confirmed(result, tmp_path))
    before = aliases(store)
    again = register_front(store, result, uid=UID, spec=SPEC)
    assert aliases(store) == before
    # The versions of the front, then the one that holds the aliases.
    assert [version.tags.get("seed") is None for version in again] == [True, True, False]
    assert len(list_models(store)) == 3
    # Negative control: a study begun afresh has a key of its own, and takes them.
    writer = writer_of(store, SPEC, "s1-2")
    writer.start()
    assert writer.finish(StudyEnd(result)) is None
    register_front(store, result, uid="s1-2", spec=SPEC, earlier=(UID,))
    assert aliases(store)["s1-best-accuracy"] == "0/"


def test_a_later_study_is_confirmed_under_its_own_aliases_until_it_is_promoted(
    store: Store, tmp_path: Path
) -> None:
    other = study_spec("first")
    earlier = replace(study(tmp_path / "first"), name="first")
    writer = writer_of(store, other)
    writer.start()
    assert writer.finish(StudyEnd(earlier)) is None
    register_front(store, earlier, uid="first-1", spec=other)
    result = searched(store, tmp_path)
    publish(store, confirmed(result, tmp_path))
    assert find_model(store, "safr-planted@compromise").tags["study"] == "first"
    assert "seed" in find_model(store, "safr-planted@s1-compromise").tags
    register_front(store, result, uid=UID, spec=SPEC, promote=True)
    assert aliases(store)["compromise"] == aliases(store)["s1-compromise"]


def test_more_seeds_renew_the_tags_of_a_version(store: Store, tmp_path: Path) -> None:
    result = searched(store, tmp_path)
    (first,) = publish(store, confirmed(result, tmp_path, (1, 2)))
    (later,) = publish(store, confirmed(result, tmp_path, (1, 2, 3)))
    assert (first.tags["confirmed_seeds"], later.tags["confirmed_seeds"]) == ("2", "3")
    assert first.tags["accuracy_mean"] != later.tags["accuracy_mean"]
    confirmed_versions = [v for v in list_models(store) if "confirmed_seeds" in v.tags]
    assert len(confirmed_versions) == len({v.tags["seed"] for v in confirmed_versions})


def test_a_server_that_does_not_know_the_study_says_so(store: Store, tmp_path: Path) -> None:
    found = confirmed(study(tmp_path), tmp_path)
    with pytest.raises(ServiceUnreachable, match="no run of study 's1'"):
        publish(store, found)
    writer = writer_of(store, SPEC, "another-key")
    writer.start()
    assert writer.finish() is None
    with pytest.raises(ServiceUnreachable, match="no run of study 's1'"):
        publish(store, found)


def test_weights_that_are_not_the_runs_are_not_registered(store: Store, tmp_path: Path) -> None:
    result = searched(store, tmp_path)
    found = confirmed(result, tmp_path)
    before = aliases(store)
    for folder in (tmp_path / "new").iterdir():
        (folder / "weights.safetensors").write_bytes(b"other weights")
    with pytest.raises(CorruptCheckpoint, match="trial 1 under seed"):
        publish(store, found)
    assert aliases(store) == before
