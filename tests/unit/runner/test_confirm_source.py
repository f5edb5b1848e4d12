from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.records.confirmation import measured_from_plain
from safr_study.runner.confirm_source import _finished_before, _test, _train
from safr_study.runner.task import TrialTask, read_event
from safr_study.settings import CorpusSpec, EvaluationConfig, Objective, TrainConfig, trial_config

SMALL = {"embed_dim": 16, "ffn_dim": 16, "heads": 2, "mask_hidden_dim": 8}
SPEC = CorpusSpec(dataset="planted", train_limit=60, dev_limit=50, test_limit=40)


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(SPEC)


def task(folder: Path, **changes: Any) -> TrialTask:
    config = trial_config(TrainConfig(epochs=1), {**SMALL, **changes}, seed=3)
    return TrialTask(
        number=4,
        train=config,
        corpus=SPEC,
        evaluation=EvaluationConfig(draws=3),
        objectives=tuple(Objective(name=name) for name in ("accuracy", "srs@30", "srs_excess@30")),
        folder=str(folder / "run"),
        gpus=0.0,
    )


def test_a_run_is_trained_measured_and_not_trained_again(
    corpus: EncodedCorpus, tmp_path: Path
) -> None:
    wanted = task(tmp_path)
    assert _finished_before(wanted) is None
    first = json.loads(_train(wanted.to_config(), corpus))
    weights = tmp_path / "run" / "model" / "weights.safetensors"
    written = weights.stat().st_mtime_ns
    # As after a driver that died before it heard of the end.
    again = json.loads(_train(wanted.to_config(), corpus))
    assert again == first
    assert weights.stat().st_mtime_ns == written

    finished, dev = read_event(first["event"]), measured_from_plain(first["dev"])
    assert finished.replicates[0].seed == 3
    assert dev.values == finished.replicates[0].values
    full, top = dev.answers.whole(), dev.answers.without_top(0.3)
    random = dev.answers.without_random(0.3)
    assert random is not None
    assert dev.values == pytest.approx(
        (100 * full.mean(), 100 * (full.mean() - top.mean()), 100 * (random.mean() - top.mean()))
    )
    assert dev.answers.draws == 3


def test_a_damaged_model_is_trained_again(corpus: EncodedCorpus, tmp_path: Path) -> None:
    wanted = task(tmp_path)
    first = json.loads(_train(wanted.to_config(), corpus))
    weights = tmp_path / "run" / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert _finished_before(wanted) is None
    again = json.loads(_train(wanted.to_config(), corpus))
    assert again["dev"] == first["dev"]
    assert _finished_before(wanted) is not None


def test_the_test_set_is_measured_with_the_kept_model(
    corpus: EncodedCorpus, tmp_path: Path
) -> None:
    wanted = task(tmp_path)
    _train(wanted.to_config(), corpus)
    found = measured_from_plain(json.loads(_test(wanted.to_config(), corpus))["test"])
    assert found.scores.split == "test"
    assert found.answers.examples == 40
    assert found.values[0] == pytest.approx(100 * found.answers.whole().mean())


def test_a_fault_is_a_sentence(corpus: EncodedCorpus, tmp_path: Path) -> None:
    missing = json.loads(_test(task(tmp_path).to_config(), corpus))
    assert "model.json cannot be read" in missing["failure"]
    diverged = task(tmp_path, gumbel_temperature=1e-45)
    assert "not finite" in json.loads(_train(diverged.to_config(), corpus))["failure"]
