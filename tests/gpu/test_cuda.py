"""The same model, losses, training and measurements on a GPU; the CPU is the oracle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_scores import deletion_at
from torch import Tensor

from safr_study.checkpoint.model_files import load_model
from safr_study.data import EncodedCorpus, training_batches
from safr_study.evaluation.scoring import evaluate_model
from safr_study.model import SafrClassifier, build_model, loss_terms
from safr_study.records import EpochReport
from safr_study.runner.task import RunTask
from safr_study.runner.worker import train_run
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    Objective,
    Penalties,
    Preset,
    TrainConfig,
    wanted,
)
from safr_study.training import FitResult, computing, effective_weights, fit
from safr_study.training.cuda_graphs import SWITCH

CPU = torch.device("cpu")
PENALTIES = Penalties(lambda_imp=1.0, lambda_inter=0.1)
CONFIG = TrainConfig(penalties=PENALTIES, learning_rate=3e-4, epochs=3, patience=3)


def facts(result: FitResult) -> list[EpochReport]:
    return [dataclasses.replace(report, seconds=0.0) for report in result.epochs]


def model_of(corpus: EncodedCorpus, preset: Preset, dtype: torch.dtype) -> SafrClassifier:
    model = build_model(
        CONFIG.shape,
        preset=preset,
        vocabulary_size=corpus.vocabulary_size,
        classes=len(corpus.class_names),
        max_len=corpus.max_len,
        seed=0,
    )
    # Evaluation mode: the two devices draw different noise.
    return model.to(dtype).eval()


def losses_and_gradients(
    model: SafrClassifier, corpus: EncodedCorpus, preset: Preset, device: torch.device
) -> dict[str, Tensor]:
    """All losses and every gradient of one batch, on the CPU and in float64."""
    pad_to = corpus.max_len if preset == "reference" else None
    batch = next(iter(training_batches(corpus.train, 32, seed=0, epoch=1, pad_to=pad_to)))
    ids, labels = (torch.from_numpy(part).to(device) for part in (batch.ids, batch.labels))
    model = model.to(device)
    model.zero_grad()
    losses = loss_terms(model(ids), labels, ids, PENALTIES, preset)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    found = {name: losses[name] for name in ("total", "importance", "interaction")}
    found |= {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {name: value.detach().to(CPU, torch.float64) for name, value in found.items()}


def farthest(value: Tensor, other: Tensor, floor: float = 0.0) -> float:
    """Largest absolute difference, as a share of the largest absolute value or of the floor."""
    return float((value - other).abs().max() / max(float(value.abs().max()), floor))


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
def test_losses_and_every_gradient_are_those_of_the_cpu(
    gpu: torch.device,
    planted: EncodedCorpus,
    preset: Preset,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    model = model_of(planted, preset, dtype)
    with computing(1):
        here = losses_and_gradients(model, planted, preset, CPU)
        there = losses_and_gradients(model, planted, preset, gpu)
    assert here.keys() == there.keys()
    # The bias of the keys changes no attention: its gradient is rounding alone.
    floor = 1e-3 * max(float(value.abs().max()) for value in here.values())
    for name, value in here.items():
        assert farthest(value, there[name], floor) <= tolerance, name
    # Not so close that anything would pass: a slightly smaller penalty shows.
    assert farthest(0.999 * here["importance"], there["importance"]) > tolerance


def test_training_repeats_bit_for_bit_and_goes_on_after_a_stop(
    gpu: torch.device, planted: EncodedCorpus, tmp_path: Path
) -> None:
    whole = fit(CONFIG, planted, device=gpu)
    again = fit(CONFIG, planted, device=gpu)
    assert facts(whole) == facts(again)

    class Stop(Exception):
        pass

    def stop(report: EpochReport) -> None:
        if report.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        fit(CONFIG, planted, device=gpu, resume_from=tmp_path, on_epoch=stop)
    resumed = fit(CONFIG, planted, device=gpu, resume_from=tmp_path)
    assert facts(resumed) == facts(whole)
    weights = [result.model.state_dict() for result in (whole, again, resumed)]
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
        assert torch.equal(value, weights[2][name]), name


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_recorded_steps_are_those_that_are_run_one_by_one(
    gpu: torch.device,
    planted: EncodedCorpus,
    preset: str,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    changed = {"preset": preset, "precision": precision, "epochs": 2}
    config = TrainConfig.parse({**CONFIG.model_dump(), **changed})
    recorded = fit(config, planted, device=gpu)
    assert "cannot be recorded" not in caplog.text
    monkeypatch.setenv(SWITCH, "0")
    single = fit(config, planted, device=gpu)
    assert facts(recorded) == facts(single)
    others = single.model.state_dict()
    for name, value in recorded.model.state_dict().items():
        assert torch.equal(value, others[name]), name


def test_the_effective_weights_are_those_of_the_cpu(
    gpu: torch.device, planted: EncodedCorpus
) -> None:
    """A word that is there several times counts once; the devices draw other noise."""
    config = TrainConfig.parse({**CONFIG.model_dump(), "precision": "float32"})
    model = model_of(planted, "masked", torch.float32)
    found = []
    for device in (CPU, gpu):
        with computing(1):
            weights = effective_weights(
                config, planted.train, model.to(device), device=device, pad_to=None
            )
        assert weights.importance is not None
        assert weights.interaction is not None
        found.append((weights.importance, weights.interaction))
    assert found[1] == pytest.approx(found[0], rel=0.3)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_what_is_learned_and_measured_is_what_the_cpu_learns(
    gpu: torch.device, planted: EncodedCorpus, precision: str
) -> None:
    config = TrainConfig.parse({**CONFIG.model_dump(), "precision": precision, "epochs": 6})
    found = []
    for device in (gpu, CPU):
        result = fit(config, planted, device=device)
        assert next(result.model.parameters()).dtype == torch.float32
        measured = evaluate_model(
            result.model,
            planted.dev,
            split_name="dev",
            config=EvaluationConfig(),
            want=wanted(("accuracy", "srs@30")),
            preset="masked",
            device=device,
        )
        found.append((measured.scores.accuracy, deletion_at(measured.scores, 0.3).srs))
    # The two draw different dropout and gates, so they end at different models.
    (accuracy, srs), (expected, expected_srs) = found
    assert expected > 90
    assert accuracy == pytest.approx(expected, abs=4)
    assert min(srs, expected_srs) > 25


def test_one_model_measures_alike_on_both(gpu: torch.device, planted: EncodedCorpus) -> None:
    config = TrainConfig.parse({**CONFIG.model_dump(), "epochs": 4})
    model = fit(config, planted, device=gpu).model
    found = []
    for device in (gpu, CPU):
        measured = evaluate_model(
            model.to(device),
            planted.dev,
            split_name="dev",
            config=EvaluationConfig(),
            want=wanted(("accuracy", "srs@30")),
            preset="masked",
            device=device,
        )
        found.append((measured.full, measured.deleted[0.3].top))
    (full, top), (full_cpu, top_cpu) = found
    # Rounding may turn a text that lies on the boundary, or swap two words of equal capacity.
    assert np.mean(full != full_cpu) <= 0.01
    assert np.mean(top != top_cpu) <= 0.02


def task_of(folder: Path, gpus: float, batch_size: int = 32) -> RunTask:
    return RunTask(
        number=0,
        train=TrainConfig.parse({**CONFIG.model_dump(), "epochs": 1, "batch_size": batch_size}),
        corpus=CorpusSpec(dataset="planted:redundant"),
        evaluation=EvaluationConfig(),
        objectives=(Objective(name="accuracy"), Objective(name="srs@30")),
        folder=str(folder),
        gpus=gpus,
        rungs=(),
        rung_texts=100,
    )


def test_a_trial_on_a_share_of_a_gpu_leaves_a_model_for_the_cpu(
    gpu: torch.device, planted: EncodedCorpus, tmp_path: Path
) -> None:
    finished = train_run(task_of(tmp_path, 0.25), planted, lambda _: None)
    assert finished.device == "cuda"
    assert finished.failure is None
    assert finished.dev is not None
    loaded = load_model(tmp_path / "model")
    assert {p.device for p in loaded.model.parameters()} == {CPU}
    total = torch.cuda.get_device_properties(gpu).total_memory
    assert torch.cuda.max_memory_reserved(gpu) <= 0.25 * total


def test_a_trial_gets_twice_its_share_when_memory_runs_out(
    gpu: torch.device, planted: EncodedCorpus, tmp_path: Path
) -> None:
    """A share that its batch does not fit into, though twice that is enough."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(gpu)
    torch.cuda.set_per_process_memory_fraction(1.0, 0)
    big = 2000
    train_run(task_of(tmp_path / "free", 1.0, big), planted, lambda _: None)
    needed = torch.cuda.max_memory_reserved(gpu)
    total = torch.cuda.get_device_properties(gpu).total_memory
    torch.cuda.empty_cache()
    events: list[dict[str, str]] = []
    share = 0.7 * needed / total
    finished = train_run(task_of(tmp_path / "scarce", share, big), planted, events.append)
    assert finished.failure is None
    assert torch.cuda.max_memory_reserved(gpu) > share * total
    torch.cuda.set_per_process_memory_fraction(1.0, 0)
