from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from safr_study.data import Batch, EncodedCorpus, training_batches
from safr_study.errors import TrialFailure
from safr_study.evaluation.dev import measure_dev
from safr_study.model import SafrClassifier, build_model
from safr_study.records import EpochReport
from safr_study.settings import ModelShape, Penalties, TrainConfig
from safr_study.training import FitResult, fit

CPU = torch.device("cpu")


def changed(config: TrainConfig, **fields: Any) -> TrainConfig:
    return TrainConfig.parse({**config.model_dump(), **fields})


def facts(result: FitResult | list[EpochReport]) -> list[EpochReport]:
    """The reports without the time that they took."""
    reports = result.epochs if isinstance(result, FitResult) else result
    return [dataclasses.replace(report, seconds=0.0) for report in reports]


def same_weights(first: SafrClassifier, second: SafrClassifier) -> bool:
    mine, theirs = first.state_dict(), second.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


def test_equal_arguments_give_equal_numbers_whatever_ran_before(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    torch.manual_seed(1)
    first = fit(config, corpus, device=CPU)
    torch.manual_seed(2)
    torch.rand(100)
    np.random.default_rng().random(3)
    second = fit(config, corpus, device=CPU, on_epoch=lambda _: torch.rand(7))  # type: ignore[arg-type, return-value]
    assert facts(first) == facts(second)
    assert same_weights(first.model, second.model)
    other = fit(changed(config, seed=1), corpus, device=CPU)
    assert facts(other) != facts(first)


def test_training_leaves_the_global_generator_alone(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    fit(changed(config, epochs=1), corpus, device=CPU)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("vmask", [True, False])
def test_a_learnable_corpus_is_learned(
    config: TrainConfig, corpus: EncodedCorpus, preset: str, vmask: bool
) -> None:
    shape = {**config.shape.model_dump(), "vmask": vmask}
    none = {"lambda_imp": None, "lambda_inter": None} if not vmask else {}
    learned = changed(config, preset=preset, shape=shape, penalties=none, epochs=12, patience=12)
    result = fit(learned, corpus, device=CPU)
    assert max(report.dev_accuracy for report in result.epochs) > 90
    first, last = result.epochs[0], result.epochs[-1]
    assert last.train.cross_entropy < first.train.cross_entropy / 2
    assert (last.gate_openness is None) == (not vmask)
    assert not result.model.training


def test_weight_zero_trains_as_without_penalties(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    absent = Penalties(lambda_imp=None, lambda_inter=None)
    zero, none, some = (
        fit(config.model_copy(update={"penalties": penalties}), corpus, device=CPU)
        for penalties in (Penalties(), absent, config.penalties)
    )
    assert facts(zero) == facts(none)
    assert same_weights(zero.model, none.model)
    assert not same_weights(zero.model, some.model)
    for report in zero.epochs:
        assert (report.train.importance, report.train.interaction) == (None, None)
        assert report.train.total == report.train.cross_entropy
    for report in some.epochs:
        assert report.train.importance is not None
        assert report.train.interaction is not None
        parts = 0.1 * report.train.importance + 0.1 * report.train.interaction
        assert report.train.total == pytest.approx(report.train.cross_entropy + parts, rel=1e-5)


def test_the_importance_penalty_lowers_the_importance_loss(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    last = [
        fit(
            changed(config, penalties={"lambda_imp": weight}, epochs=6, patience=6),
            corpus,
            device=CPU,
        ).epochs[-1]
        for weight in (1e-6, 10.0)
    ]
    assert last[1].train.importance < 0.7 * last[0].train.importance  # type: ignore[operator]


def test_the_loss_is_the_mean_over_texts(config: TrainConfig, corpus: EncodedCorpus) -> None:
    """A learning rate that changes nothing, no noise in the loss: every step sees one model."""
    still = changed(
        config,
        learning_rate=1e-30,
        shape={**config.shape.model_dump(), "dropout": 0.0, "vmask": False},
        penalties={"lambda_imp": None, "lambda_inter": None},
        epochs=1,
        batch_size=50,
    )
    result = fit(still, corpus, device=CPU)
    on_train = measure_dev(result.model, corpus.train, device=CPU, pad_to=None)
    assert result.epochs[0].train.cross_entropy == pytest.approx(on_train.loss, rel=1e-5)


def test_dev_measures_equal_the_definition(config: TrainConfig, corpus: EncodedCorpus) -> None:
    model = build_model(
        config.shape, preset="masked", vocabulary_size=20, classes=2, max_len=8, seed=0
    ).eval()
    right, losses, keeps, norms = [], [], [], []
    for row, label in enumerate(corpus.dev.labels):
        text = corpus.dev.tokens[corpus.dev.offsets[row] : corpus.dev.offsets[row + 1]]
        ids = torch.from_numpy(text.astype(np.int64))[None]
        output = model(ids)
        right.append(output.logits.argmax().item() == label)
        losses.append(F.cross_entropy(output.logits, torch.tensor([label])).item())
        keeps += output.keep_probability.flatten().tolist()  # type: ignore[union-attr]
        norms += output.masked_embeddings.norm(dim=-1).flatten().tolist()
    found = measure_dev(model, corpus.dev, device=CPU, pad_to=8)
    assert found.accuracy == pytest.approx(100 * np.mean(right))
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.gate_openness == pytest.approx(np.mean(keeps), rel=1e-5)
    assert found.mean_norm == pytest.approx(np.mean(norms), rel=1e-5)


@pytest.fixture
def wandering(corpus: EncodedCorpus) -> EncodedCorpus:
    """Dev labels that nothing explains: the best epoch is not the last."""
    labels = np.random.default_rng(0).integers(0, 2, corpus.dev.examples)
    return dataclasses.replace(corpus, dev=dataclasses.replace(corpus.dev, labels=labels))


def test_the_model_is_a_copy_of_the_best_epoch(
    config: TrainConfig, wandering: EncodedCorpus
) -> None:
    patient = changed(config, epochs=12, patience=3)
    result = fit(patient, wandering, device=CPU)
    best = result.epochs[result.best_epoch - 1]
    assert result.best_epoch < len(result.epochs)
    assert len(result.epochs) == result.best_epoch + 3
    found = measure_dev(result.model, wandering.dev, device=CPU, pad_to=None)
    assert (found.accuracy, found.loss) == (best.dev_accuracy, best.dev_loss)
    ranks = [(report.dev_accuracy, -report.dev_loss) for report in result.epochs]
    assert max(ranks) == ranks[result.best_epoch - 1]
    assert [report.best for report in result.epochs] == [
        all(rank > before for before in ranks[:number]) for number, rank in enumerate(ranks)
    ]
    until = fit(changed(patient, epochs=result.best_epoch), wandering, device=CPU)
    assert same_weights(until.model, result.model)


def test_reference_keeps_the_last_epoch(config: TrainConfig, wandering: EncodedCorpus) -> None:
    last_kept = changed(config, preset="reference", epochs=12, patience=3)
    result = fit(last_kept, wandering, device=CPU)
    last = result.epochs[-1]
    assert result.best_epoch == last.epoch
    assert not last.best
    found = measure_dev(result.model, wandering.dev, device=CPU, pad_to=8)
    assert (found.accuracy, found.loss) == (last.dev_accuracy, last.dev_loss)


@pytest.mark.parametrize(("preset", "expected"), [("masked", None), ("reference", 8)])
def test_only_reference_pads_to_the_maximum(
    config: TrainConfig,
    corpus: EncodedCorpus,
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
    expected: int | None,
) -> None:
    seen: set[int] = set()

    def spy(*args: Any, **kwargs: Any) -> Any:
        for batch in training_batches(*args, **kwargs):
            assert isinstance(batch, Batch)
            seen.add(batch.ids.shape[1])
            yield batch

    monkeypatch.setattr("safr_study.training.steps.training_batches", spy)
    fit(changed(config, preset=preset, epochs=1), corpus, device=CPU)
    assert seen == {expected} if expected else len(seen) > 1


def test_one_text_a_batch_and_several_blocks_work(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    shape = ModelShape(embed_dim=8, ffn_dim=8, heads=2, mask_hidden_dim=4, layers=2)
    single = changed(config, batch_size=1, epochs=1, shape=shape.model_dump())
    assert len(fit(single, corpus, device=CPU).epochs) == 1


@pytest.mark.parametrize(
    ("weight", "when"),
    [
        # The loss overflows.
        (1e39, "epoch 1, step "),
        # The loss is finite, the squares of its gradients are not: Adam would stand still.
        (1e38, "epoch 1"),
        (1e25, "epoch 1: the square of a gradient "),
    ],
)
def test_numbers_that_are_not_finite_are_a_sentence(
    config: TrainConfig, corpus: EncodedCorpus, weight: float, when: str
) -> None:
    wild = changed(config, penalties={"lambda_imp": weight, "lambda_inter": weight})
    with pytest.raises(TrialFailure) as failure:
        fit(wild, corpus, device=CPU)
    sentence = str(failure.value)
    assert sentence.startswith(when)
    assert "not finite; try a learning rate below 0.003 or smaller lambdas" in sentence


def kill_after(epoch: int) -> Any:
    def stop(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("stopped", [1, 4])
def test_a_resumed_training_goes_on_bit_for_bit(
    config: TrainConfig, wandering: EncodedCorpus, tmp_path: Path, preset: str, stopped: int
) -> None:
    config = changed(config, preset=preset, epochs=6, patience=6)
    whole = fit(config, wandering, device=CPU)
    assert preset == "reference" or whole.best_epoch < 6
    with pytest.raises(KeyboardInterrupt):
        fit(config, wandering, device=CPU, resume_from=tmp_path, on_epoch=kill_after(stopped))
    seen: list[EpochReport] = []
    resumed = fit(config, wandering, device=CPU, resume_from=tmp_path, on_epoch=seen.append)
    assert facts(resumed) == facts(whole)
    assert facts(seen) == facts(whole)[stopped:]
    assert resumed.best_epoch == whole.best_epoch
    assert same_weights(resumed.model, whole.model)


def test_a_finished_training_is_not_repeated(
    config: TrainConfig, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    first = fit(config, corpus, device=CPU, resume_from=tmp_path)
    again = fit(config, corpus, device=CPU, resume_from=tmp_path, on_epoch=kill_after(1))
    assert again.epochs == first.epochs
    assert same_weights(again.model, first.model)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-000003.json",
        "epoch-000003.safetensors",
        "epoch-000004.json",
        "epoch-000004.safetensors",
    ]


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.fixture(scope="module")
def uninterrupted(config: TrainConfig, corpus: EncodedCorpus) -> FitResult:
    return fit(config, corpus, device=CPU)


@pytest.fixture(scope="module")
def interrupted(
    config: TrainConfig, corpus: EncodedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The running state of a training that ended after its third epoch."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        fit(config, corpus, device=CPU, resume_from=folder, on_epoch=kill_after(3))
    return folder


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("json", "safetensors") for damage in (Path.unlink, _cut)),
        ("safetensors", _flip),
        ("json", lambda path: path.write_text("[]")),
        ("json", lambda path: path.write_bytes(b"\xff")),
    ],
)
def test_a_damaged_state_falls_back_to_the_one_before(
    config: TrainConfig,
    corpus: EncodedCorpus,
    interrupted: Path,
    uninterrupted: FitResult,
    tmp_path: Path,
    name: str,
    damage: Any,
) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / f"epoch-000003.{name}")
    seen: list[EpochReport] = []
    resumed = fit(config, corpus, device=CPU, resume_from=tmp_path, on_epoch=seen.append)
    assert [report.epoch for report in seen] == [3, 4]
    assert facts(resumed) == facts(uninterrupted)
    assert same_weights(resumed.model, uninterrupted.model)


def test_the_state_of_another_training_is_replaced(
    config: TrainConfig, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    fit(config, corpus, device=CPU, resume_from=tmp_path)
    other = changed(config, learning_rate=1e-3, epochs=1)
    result = fit(other, corpus, device=CPU, resume_from=tmp_path)
    assert facts(result) == facts(fit(other, corpus, device=CPU))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch-000001.json", "epoch-000001.safetensors"]
    fingerprinted = json.loads((tmp_path / names[0]).read_text(encoding="utf-8"))
    assert len(fingerprinted["reports"]) == 1
