"""A row of the paper's tables as a worker trains and measures it, on data small enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from safr_study.checkpoint.model_files import load_model
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.evaluation.deletion import sample_texts
from safr_study.evaluation.prediction import Predictor
from safr_study.features.paper.lines import RunLine
from safr_study.features.paper.measure import measure_paper_run
from safr_study.records.run import RunResult
from safr_study.runner.task import RunTask, SharedFault
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig
from safr_study.training.steps import train_epoch

SPEC = CorpusSpec(dataset="planted", train_limit=40, dev_limit=30, test_limit=30)
EPOCHS = 3


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(SPEC)


def task(folder: Path, *extras: str) -> RunTask:
    train = {
        "shape": {"embed_dim": 16, "ffn_dim": 16, "heads": 2, "mask_hidden_dim": 8},
        "penalties": {"lambda_imp": 1.0, "lambda_inter": 0.1},
        "epochs": EPOCHS,
        "patience": EPOCHS,
    }
    return RunTask(
        number=2,
        train=TrainConfig.model_validate(train),
        corpus=SPEC,
        evaluation=EvaluationConfig(),
        objectives=(),
        folder=str(folder),
        gpus=0.0,
        extras=extras,
    )


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that are really trained."""
    epochs: list[int] = []

    def train(*args: Any, **options: Any) -> Any:
        epochs.append(options["epoch"])
        return train_epoch(*args, **options)

    monkeypatch.setattr("safr_study.training.loop.train_epoch", train)
    return epochs


def line_of(result: RunResult | SharedFault) -> RunLine:
    """The line, without its time."""
    assert isinstance(result, RunResult)
    assert result.line is not None
    return replace(RunLine.from_json(result.line), seconds=0.0)


def test_a_run_killed_in_its_training_resumes_to_the_same_line(
    corpus: EncodedCorpus, tmp_path: Path, trained: list[int]
) -> None:
    whole = measure_paper_run(task(tmp_path / "whole"), corpus, lambda _: None)
    trained.clear()
    reported: list[dict[str, str]] = []

    def killed(event: dict[str, str]) -> None:
        reported.append(event)
        if len(reported) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_paper_run(task(tmp_path / "killed"), corpus, killed)
    assert trained == [1, 2]
    resumed = measure_paper_run(task(tmp_path / "killed"), corpus, lambda _: None)
    assert trained == [1, 2, 3]
    assert line_of(resumed) == line_of(whole)
    assert isinstance(resumed, RunResult)
    assert (resumed.key, resumed.epochs) == ((2, 0), EPOCHS)
    assert line_of(whole).evaluation == EvaluationConfig()
    assert line_of(whole).right.draws == EvaluationConfig().draws


def test_texts_that_are_too_short_for_a_table_are_told_of_all_runs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus: EncodedCorpus
) -> None:
    monkeypatch.setattr("safr_study.features.paper.measure.capacity_means", lambda _: None)
    ended = measure_paper_run(task(tmp_path, "capacities"), corpus, lambda _: None)
    assert isinstance(ended, SharedFault)
    assert ended.bad_input == "dataset"
    assert "too short for Table 3" in ended.sentence


def test_a_table_that_needs_more_measures_the_model_that_is_there(
    corpus: EncodedCorpus, tmp_path: Path, trained: list[int]
) -> None:
    plain = line_of(measure_paper_run(task(tmp_path), corpus, lambda _: None))
    more = line_of(measure_paper_run(task(tmp_path, "capacities"), corpus, lambda _: None))
    assert trained == [1, 2, 3]
    assert plain.capacities is None
    assert more.capacities is not None
    assert replace(more, capacities=None) == plain
    weights = tmp_path / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    again = line_of(measure_paper_run(task(tmp_path), corpus, lambda _: None))
    assert again == plain, "a damaged model is made again from its running state"


def test_of_a_large_test_set_a_fixed_part_has_what_is_dear(
    corpus: EncodedCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safr_study.features.paper.measure.PART_TEXTS", 20)
    whole = line_of(measure_paper_run(task(tmp_path, "curve"), corpus, lambda _: None))
    part = line_of(measure_paper_run(task(tmp_path, "part"), corpus, lambda _: None))
    assert part.right == whole.right
    assert part.test.examples == 30
    for name in ("accuracy", "srs@30", "srs_excess@30", "contrast@30"):
        assert part.test.values[name] == whole.test.values[name]
    assert not part.test.has("srs_auc")
    assert not part.test.rankings
    assert part.of_part is not None
    assert part.curve is part.of_part
    assert whole.curve is whole.test
    assert part.of_part.examples == 20
    assert part.of_part.shares == whole.test.shares
    assert part.of_part.rankings.keys() == whole.test.rankings.keys()
    texts = sample_texts(corpus.split("test"), 20, seed=0)
    model = load_model(tmp_path / "model").model
    right = (
        Predictor(model, 128, None, torch.device("cpu")).logits(texts).argmax(axis=1)
        == texts.labels
    )
    assert part.of_part.accuracy == pytest.approx(100 * right.mean())
    assert part.capacities != whole.capacities
    assert RunLine.from_json(part.to_json()) == part
    assert "of_part" not in whole.to_json()
