"""The epoch loop: train, measure on dev, keep the best state, stop early, go on after a stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from safr_study.checkpoint.resume_state import StoredBest, read_running, write_running
from safr_study.data import EncodedCorpus
from safr_study.evaluation.dev import measure_dev
from safr_study.model import SafrClassifier, build_model
from safr_study.records import EpochReport
from safr_study.settings import TrainConfig, fingerprint_of
from safr_study.training.cuda_graphs import GraphedSteps
from safr_study.training.effective import effective_weights
from safr_study.training.numerics import computing, release_memory
from safr_study.training.steps import not_finite, train_epoch

Measure = Callable[[SafrClassifier, int], tuple[float, ...] | None]
"""Objectives of the model after an epoch, from 1; ``None`` where nothing is to be measured."""


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """A trained model and how it came about."""

    model: SafrClassifier
    """Model in the chosen state, in evaluation mode, on the device of the training."""
    epochs: tuple[EpochReport, ...]
    """All of them, those before a resume included."""
    best_epoch: int
    """Epoch of the state, from 1: the best on dev; in ``reference`` the last."""


def fit(
    config: TrainConfig,
    corpus: EncodedCorpus,
    *,
    device: torch.device,
    resume_from: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_resume: Callable[[tuple[EpochReport, ...]], None] | None = None,
    measure: Measure | None = None,
) -> FitResult:
    """Train one model.

    Adam on the penalised loss; after each epoch accuracy and loss on dev. The best epoch has the
    highest dev accuracy, ties go to the lower dev loss; ``patience`` epochs without a better one
    end the training. Equal arguments give equal numbers on the CPU, resumed or not.

    Args:
        config: everything but the corpus that decides the numbers.
        corpus: encoded.
        device: of ``pick_device``.
        resume_from: folder of the running state. Read if it holds one of this very config and
            corpus (any other is replaced), written after every epoch.
        on_epoch: called after each epoch trained here, once its running state is on disk; what it
            raises ends the training.
        on_resume: called first, with the epochs of the running state, where there is one.
        measure: called with the model in evaluation mode; for the reports' ``objectives``.

    Raises:
        TrialFailure: a loss, or the square of a gradient, is not finite.
    """
    with computing(config.threads):
        return _fit(
            config,
            corpus,
            device,
            resume_from,
            on_epoch or (lambda _: None),
            on_resume or (lambda _: None),
            measure or (lambda _model, _epoch: None),
        )


def _fit(
    config: TrainConfig,
    corpus: EncodedCorpus,
    device: torch.device,
    folder: Path | None,
    on_epoch: Callable[[EpochReport], None],
    on_resume: Callable[[tuple[EpochReport, ...]], None],
    measure: Measure,
) -> FitResult:
    model = build_model(
        config.shape,
        preset=config.preset,
        vocabulary_size=corpus.vocabulary_size,
        classes=len(corpus.class_names),
        max_len=corpus.max_len,
        seed=config.seed,
    ).to(device)
    on_gpu = device.type == "cuda"
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, fused=True, capturable=on_gpu
    )
    graphed = GraphedSteps(device, corpus.max_len) if on_gpu else None
    fingerprint = fingerprint_of([config.model_dump(mode="json"), corpus.fingerprint])
    reports: list[EpochReport] = []
    stored: StoredBest | None = None
    in_memory: dict[str, Tensor] = {}
    if folder is not None:
        known, stored = read_running(folder, fingerprint, model, optimizer)
        reports.extend(known)
        if known:
            on_resume(known)
    # The authors keep a reference to the state, not a copy: their best state is the last.
    keeps_best = config.preset == "masked"
    while not _finished(config, reports):
        report = _epoch(config, corpus, model, optimizer, device, graphed, reports, measure)
        reports.append(report)
        if folder is not None:
            stored = write_running(
                folder,
                fingerprint,
                model,
                optimizer,
                tuple(reports),
                keeps_best=keeps_best,
                best=stored,
            )
        elif report.best and keeps_best:
            in_memory = {name: value.clone() for name, value in model.state_dict().items()}
        on_epoch(report)
    best_state = in_memory if stored is None else stored.load()
    if best_state:
        model.load_state_dict(best_state)
    return FitResult(
        model=model.eval(),
        epochs=tuple(reports),
        best_epoch=_best(reports).epoch if keeps_best else len(reports),
    )


def _best(reports: list[EpochReport]) -> EpochReport:
    return next(report for report in reversed(reports) if report.best)


def _finished(config: TrainConfig, reports: list[EpochReport]) -> bool:
    if not reports:
        return False
    waited = len(reports) - _best(reports).epoch
    return len(reports) >= config.epochs or waited >= config.patience


def _epoch(
    config: TrainConfig,
    corpus: EncodedCorpus,
    model: SafrClassifier,
    optimizer: torch.optim.Adam,
    device: torch.device,
    graphed: GraphedSteps | None,
    reports: list[EpochReport],
    measure: Measure,
) -> EpochReport:
    started = time.perf_counter()
    epoch = len(reports) + 1
    pad_to = corpus.max_len if config.preset == "reference" else None
    train = train_epoch(
        config,
        corpus.train,
        model,
        optimizer,
        device=device,
        epoch=epoch,
        pad_to=pad_to,
        graphed=graphed,
    )
    # Each of the three takes much memory: not on top of what the one before has freed.
    release_memory()
    dev = measure_dev(model, corpus.dev, device=device, pad_to=pad_to)
    release_memory()
    effective = effective_weights(config, corpus.train, model, device=device, pad_to=pad_to)
    release_memory()
    if not (math.isfinite(dev.loss) and math.isfinite(dev.mean_norm)):
        raise not_finite(config, f"epoch {epoch}", "dev loss")
    objectives = measure(model.eval(), epoch)
    rank = (dev.accuracy, -dev.loss)
    best = not reports or rank > (_best(reports).dev_accuracy, -_best(reports).dev_loss)
    return EpochReport(
        epoch=epoch,
        train=train,
        dev_accuracy=dev.accuracy,
        dev_loss=dev.loss,
        gate_openness=dev.gate_openness,
        mean_norm=dev.mean_norm,
        best=best,
        seconds=time.perf_counter() - started,
        effective_importance=effective.importance,
        effective_interaction=effective.interaction,
        effective_information=effective.information,
        objectives=objectives,
    )
