"""Train one row of a table under one seed, or find it trained."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from filelock import FileLock

from safr_study.checkpoint.manifest import verify_model
from safr_study.checkpoint.model_files import save_model
from safr_study.data import EncodedCorpus
from safr_study.errors import CorruptCheckpoint
from safr_study.ledger.retention import MODEL, STATE
from safr_study.runner.task import RunTask, event
from safr_study.runner.worker import Report
from safr_study.settings import TrainConfig, fingerprint_of
from safr_study.training import fit

_FACTS = "training.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """How the training of a model on disk went."""

    epochs: int
    """Number of epochs trained."""
    seconds: float
    """Wall time of all of them."""


def training_key(config: TrainConfig, corpus: EncodedCorpus) -> str:
    """What decides a training's numbers, in 16 hexadecimal digits.

    A setting at its default has no part in it, so that a new setting leaves the old keys alone.
    """
    settings = config.model_dump(mode="json", exclude_defaults=True)
    return fingerprint_of([settings, corpus.fingerprint])[:16]


def trained(task: RunTask, corpus: EncodedCorpus, report: Report, device: torch.device) -> Trained:
    """Train a model, or resume its training, unless the task's folder has it whole.

    Raises:
        TrialFailure: a loss is not finite.
    """
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Commands with results of their own share the models: one at a time trains here.
    with FileLock(folder / "lock"):
        return _finished(folder) or _train(task, corpus, report, device)


def _train(task: RunTask, corpus: EncodedCorpus, report: Report, device: torch.device) -> Trained:
    folder = Path(task.folder)
    began = time.perf_counter()
    fitted = fit(
        task.train,
        corpus,
        device=device,
        resume_from=folder / STATE,
        on_epoch=lambda epoch: report(event(epoch)),
    )
    save_model(
        folder / MODEL,
        fitted.model,
        config=task.train,
        corpus=corpus,
        spec=task.corpus,
        evaluation=task.evaluation,
        scores=None,
        epoch=fitted.best_epoch,
    )
    # Epochs of an interrupted run count by their own clocks.
    seconds = max(time.perf_counter() - began, sum(epoch.seconds for epoch in fitted.epochs))
    done = Trained(len(fitted.epochs), seconds)
    (folder / _FACTS).write_text(json.dumps(asdict(done)) + "\n", encoding="utf-8")
    return done


def _finished(folder: Path) -> Trained | None:
    try:
        verify_model(folder / MODEL)
        plain = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        return Trained(int(plain["epochs"]), float(plain["seconds"]))
    except (CorruptCheckpoint, OSError, ValueError, KeyError, TypeError):
        return None
