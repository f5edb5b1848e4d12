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
from safr_study.data import EncodedCorpus, epochs_of_pass, find_encoder
from safr_study.errors import BadInput
from safr_study.evaluation.dev import measure_dev
from safr_study.model import (
    SPECIAL,
    Classifier,
    PretrainedClassifier,
    build_model,
    build_pretrained,
    freeze_encoder,
    piece_table,
)
from safr_study.records import EpochReport
from safr_study.settings import TrainConfig, fingerprint_of
from safr_study.training.cuda_graphs import GraphedSteps
from safr_study.training.effective import effective_weights
from safr_study.training.numerics import computing, release_memory
from safr_study.training.schedule import is_constant
from safr_study.training.steps import balanced_weights, not_finite, train_epoch, trained

Measure = Callable[[Classifier, int], tuple[float, ...] | None]
"""Objectives of the model after an epoch, from 1; ``None`` where nothing is to be measured."""


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """A trained model and how it came about."""

    model: Classifier
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
    model: Classifier | None = None,
    resume_from: Path | None = None,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    on_resume: Callable[[tuple[EpochReport, ...]], None] = lambda _: None,
    measure: Measure = lambda _model, _epoch: None,
) -> FitResult:
    """Train one model.

    Adam on the penalised loss; after each epoch accuracy and loss on dev. The best epoch has the
    highest dev accuracy, ties go to the lower dev loss; ``patience`` passes without a better one
    end the training. Equal arguments give equal numbers on the CPU, resumed or not.

    Args:
        config: everything but the corpus that decides the numbers.
        corpus: encoded.
        device: of ``pick_device``.
        model: trained further, in place; ``None``: a fresh one. Not with ``resume_from``, whose
            states know nothing of it.
        resume_from: folder of the running state. Read if it holds one of this very config and
            corpus (any other is replaced), written after every epoch.
        on_epoch: called after each epoch trained here, once its running state is on disk; what it
            raises ends the training.
        on_resume: called first, with the epochs of the running state, where there is one.
        measure: called with the model in evaluation mode; for the reports' ``objectives``.

    Raises:
        TrialFailure: a loss, or the square of a gradient, is not finite.
    """
    fingerprint = fingerprint_of([config.model_dump(mode="json"), corpus.fingerprint])
    # The authors keep a reference to the state, not a copy: their best state is the last.
    keeps_best = config.preset == "masked"
    stored: StoredBest | None = None
    in_memory: dict[str, Tensor] = {}
    with computing(config.threads):
        training = _Training(config, corpus, device, model)
        model, optimizer, reports = training.model, training.optimizer, training.reports
        if resume_from is not None:
            known, stored = read_running(resume_from, fingerprint, model, optimizer)
            reports.extend(known)
            if known:
                on_resume(known)
        while not training.finished:
            report = training.epoch(measure)
            reports.append(report)
            if resume_from is not None:
                stored = write_running(
                    resume_from,
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
        best_epoch=training.best.epoch if keeps_best else len(reports),
    )


def initial_model(config: TrainConfig, corpus: EncodedCorpus) -> Classifier:
    """A fresh model, whole: from scratch, or over the corpus's pretrained encoder.

    Raises:
        BadInput: the encoder's files are not those with which the corpus was encoded.
    """
    classes, pieces = len(corpus.class_names), corpus.pieces
    if pieces is None:
        return build_model(
            config.shape,
            preset=config.preset,
            vocabulary_size=corpus.vocabulary_size,
            classes=classes,
            max_len=corpus.max_len,
            seed=config.seed,
            pairs=corpus.pairs,
        )
    files = find_encoder(pieces.encoder)
    if files.sha256 != pieces.sha256:
        raise BadInput("encoder", f"{pieces.encoder} changed since the study began; give it back")
    return build_pretrained(
        pieces.shape,
        config.shape,
        classes=classes,
        table=piece_table(pieces),
        seed=config.seed,
        weights=files.weights(),
        pairs=corpus.pairs,
    )


def begin_training(
    config: TrainConfig,
    corpus: EncodedCorpus,
    device: torch.device,
    model: Classifier | None = None,
) -> tuple[Classifier, torch.optim.Adam]:
    """A model with what is not trained of it frozen, and the optimiser of the rest.

    Args:
        config: of the training.
        corpus: encoded.
        device: for both.
        model: trained further; ``None``: a fresh one.

    Raises:
        BadInput: as `initial_model`.
    """
    model = (initial_model(config, corpus) if model is None else model).to(device)
    if config.train_encoder == "head" and isinstance(model, PretrainedClassifier):
        freeze_encoder(model)
    on_gpu = device.type == "cuda"
    # A GPU's recorded steps read the rate where it changes, and have it in them where not.
    varies = on_gpu and not is_constant(config)
    rate = torch.tensor(config.learning_rate, device=device) if varies else config.learning_rate
    return model, torch.optim.Adam(trained(model), lr=rate, fused=True, capturable=on_gpu)


class _Training:
    """A model under way: the optimiser, and the epochs so far."""

    def __init__(
        self,
        config: TrainConfig,
        corpus: EncodedCorpus,
        device: torch.device,
        model: Classifier | None,
    ) -> None:
        self.config, self.corpus, self.device = config, corpus, device
        self.reports: list[EpochReport] = []
        self.model, self.optimizer = begin_training(config, corpus, device, model)
        longest = corpus.max_len - (0 if corpus.pieces is None else SPECIAL)
        self.graphed = GraphedSteps(device, longest) if device.type == "cuda" else None
        # One tensor for all epochs: the recorded steps of a GPU refer to it.
        self.class_weights = balanced_weights(config, corpus.train, len(corpus.class_names), device)

    @property
    def best(self) -> EpochReport:
        """The best epoch of at least one."""
        return next(report for report in reversed(self.reports) if report.best)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained, or patience is at an end."""
        if not self.reports:
            return False
        config, epochs = self.config, len(self.reports)
        patience = config.patience * epochs_of_pass(self.corpus.train.examples, config.epoch_texts)
        return epochs >= config.epochs or epochs - self.best.epoch >= patience

    def epoch(self, measure: Measure) -> EpochReport:
        """The next epoch, trained and measured."""
        started = time.perf_counter()
        config, corpus, model, epoch = self.config, self.corpus, self.model, len(self.reports) + 1
        pad_to = corpus.max_len if config.preset == "reference" else None
        train = train_epoch(
            config,
            corpus.train,
            model,
            self.optimizer,
            epoch=epoch,
            pad_to=pad_to,
            graphed=self.graphed,
            class_weights=self.class_weights,
        )
        # Each of the three takes much memory: not on top of what the one before has freed.
        release_memory()
        dev = measure_dev(model, corpus.dev, device=self.device, pad_to=pad_to)
        release_memory()
        effective = effective_weights(
            config,
            corpus.train,
            model,
            device=self.device,
            pad_to=pad_to,
            class_weights=self.class_weights,
        )
        release_memory()
        if not (math.isfinite(dev.loss) and math.isfinite(dev.mean_norm)):
            raise not_finite(config, f"epoch {epoch}", "dev loss")
        objectives = measure(model.eval(), epoch)
        rank = (dev.accuracy, -dev.loss)
        best = epoch == 1 or rank > (self.best.dev_accuracy, -self.best.dev_loss)
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
            effective_l1=effective.l1,
            effective_orthogonality=effective.orthogonality,
            objectives=objectives,
        )
