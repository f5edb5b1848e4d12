"""A trial whose files lie in a store moves from node to node with its numbers unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from safr_study.checkpoint.manifest import verify_model
from safr_study.checkpoint.model_files import load_model
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.errors import ServiceUnreachable
from safr_study.ledger.retention import tidy_trial
from safr_study.object_store import local_copy
from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.records.run import RunResult
from safr_study.runner.task import (
    EVENT,
    Event,
    RunTask,
    SharedFault,
    make_trial_root,
    read_event,
)
from safr_study.runner.worker import trainable
from safr_study.settings import CorpusSpec, EvaluationConfig, Objective, TrainConfig

SPEC = CorpusSpec(dataset="planted:single", train_limit=60, dev_limit=30, max_len=42)
TRAIN = TrainConfig.model_validate(
    {
        "shape": {"embed_dim": 16, "ffn_dim": 16, "heads": 2, "mask_hidden_dim": 8},
        "learning_rate": 1e-2,
        "epochs": 3,
        "patience": 3,
        "seed": 3,
    }
)


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(SPEC)


def task_at(place: str) -> RunTask:
    return RunTask(
        number=5,
        train=TRAIN,
        corpus=SPEC,
        evaluation=EvaluationConfig(draws=2, sample_texts=10, sample_tokens=200),
        objectives=(Objective(name="accuracy"), Objective(name="srs@30")),
        folder=place,
        gpus=0.0,
    )


def run(
    monkeypatch: pytest.MonkeyPatch, task: RunTask, corpus: EncodedCorpus, killed_at: int = 0
) -> list[Event | None]:
    """What the worker reports; a kill leaves nothing of the node."""
    told: list[Event | None] = []

    def report(event: dict[str, str]) -> None:
        told.append(read_event(event[EVENT]))
        if len(told) == killed_at:
            raise KeyboardInterrupt

    monkeypatch.setattr("ray.tune.report", report)
    if killed_at:
        with pytest.raises(KeyboardInterrupt):
            trainable(task.to_config(), corpus)
    else:
        trainable(task.to_config(), corpus)
    return told


def test_a_trial_goes_on_where_another_node_was_lost(
    tmp_path: Path, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    url = (tmp_path / "store" / "00005").as_uri()
    before = run(monkeypatch, task_at(url), corpus, killed_at=2)
    after = run(monkeypatch, task_at(url), corpus)
    # To the last digit of their time: they were read, not trained again.
    assert after[:2] == before
    assert [one.epoch for one in after[:-1] if isinstance(one, EpochReport)] == [1, 2, 3]
    assert list(scratch.glob("safr-study-*")) == []

    moved = after[-1]
    make_trial_root(str(tmp_path / "home"))
    at_home = run(monkeypatch, task_at(str(tmp_path / "home" / "00005")), corpus)[-1]
    assert isinstance(moved, RunResult)
    assert isinstance(at_home, RunResult)
    assert moved.replicates == at_home.replicates
    assert moved.checkpoint is not None
    assert moved.dev is not None
    assert at_home.checkpoint is not None
    assert moved.checkpoint.uri == f"{url}/model"
    assert moved.checkpoint == replace(at_home.checkpoint, uri=moved.checkpoint.uri)
    with local_copy(moved.checkpoint.uri) as folder:
        assert verify_model(folder).sha256 == moved.checkpoint.sha256
        assert load_model(folder).scores == moved.dev.scores

    ended = TrialRecord(number=5, state=TrialState.COMPLETE, parameters={}, seed=3)
    store = tmp_path / "store" / "00005"
    tidy_trial(url, replace(ended, state=TrialState.RUNNING))
    assert sorted(path.name for path in store.iterdir()) == ["model", "state"]
    tidy_trial(url, ended)
    assert sorted(path.name for path in store.iterdir()) == ["model"]
    tidy_trial(url, replace(ended, state=TrialState.PRUNED))
    assert not store.exists() or list(store.iterdir()) == []


def test_a_store_that_is_away_ends_the_study_and_not_the_trial(
    tmp_path: Path, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    (told,) = run(monkeypatch, task_at((tmp_path / "store" / "00005").as_uri()), corpus)
    assert isinstance(told, SharedFault)
    assert told.unreachable
    assert "does not take or give files" in told.sentence


def test_a_home_that_the_nodes_do_not_share_ends_the_study_with_what_to_do(
    tmp_path: Path, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    (told,) = run(monkeypatch, task_at(str(tmp_path / "of-the-driver" / "00005")), corpus)
    assert isinstance(told, SharedFault)
    assert told.unreachable
    assert "or keep the checkpoints in an object store with --checkpoints" in told.sentence
    assert not (tmp_path / "of-the-driver").exists()


def test_a_fault_of_the_trial_itself_leaves_its_trace_in_the_store(
    tmp_path: Path, corpus: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise RuntimeError("mat1 and mat2 do not fit")

    monkeypatch.setattr("safr_study.training.fit", broken)
    url = (tmp_path / "store" / "00005").as_uri()
    (told,) = run(monkeypatch, task_at(url), corpus)
    assert isinstance(told, RunResult)
    assert told.failure == f"RuntimeError: mat1 and mat2 do not fit (details in {url}/error.txt)"
    assert "broken" in (tmp_path / "store" / "00005" / "error.txt").read_text()


def test_a_store_that_is_away_is_no_reason_to_end_a_study_while_tidying(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(place: str) -> list[str]:
        asked.append(place)
        raise ServiceUnreachable("checkpoints: away")

    asked: list[str] = []
    monkeypatch.setattr("safr_study.ledger.retention.children", away)
    ended = TrialRecord(number=0, state=TrialState.COMPLETE, parameters={}, seed=0)
    tidy_trial("s3://bucket/x", ended)
    assert asked == ["s3://bucket/x"]
