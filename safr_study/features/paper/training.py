"""Train one row of a table under one seed, or find it trained."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from safr_study.checkpoint.manifest import verify_model
from safr_study.checkpoint.model_files import save_model
from safr_study.data import EncodedCorpus
from safr_study.errors import CorruptCheckpoint
from safr_study.home import Home
from safr_study.records import EpochReport
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig, fingerprint_of
from safr_study.training import fit, pick_device

_FACTS = "training.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model on disk, and how long it took."""

    model: Path
    """Folder of the model."""
    epochs: int
    """That ran."""
    seconds: float
    """Wall time of all of them."""


def training_key(config: TrainConfig, corpus: EncodedCorpus) -> str:
    """What decides a training's numbers, in 16 hexadecimal digits.

    A setting at its default has no part in it, so that a new setting leaves the old keys alone.
    """
    settings = config.model_dump(mode="json", exclude_defaults=True)
    return fingerprint_of([settings, corpus.fingerprint])[:16]


def trained(
    config: TrainConfig,
    corpus: EncodedCorpus,
    spec: CorpusSpec,
    home: Home,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Trained:
    """The trained model; trains it, or goes on training it, if it is not there.

    Args:
        config: of the training.
        corpus: encoded.
        spec: of that corpus.
        home: its checkpoints hold the model and, until it is there, the running state.
        on_epoch: called after each epoch that is trained here.

    Raises:
        TrialFailure: a loss is not finite.
    """
    folder = home.checkpoints("reproduce") / training_key(config, corpus)
    model, facts = folder / "model", folder / _FACTS
    folder.mkdir(parents=True, exist_ok=True)
    # Processes may outlive a command that was killed: one at a time trains here.
    with FileLock(folder / "lock"):
        return _finished(model, facts) or _train(config, corpus, spec, folder, on_epoch)


def _train(
    config: TrainConfig,
    corpus: EncodedCorpus,
    spec: CorpusSpec,
    folder: Path,
    on_epoch: Callable[[EpochReport], None] | None,
) -> Trained:
    model, facts = folder / "model", folder / _FACTS
    began = time.perf_counter()
    state = folder / "state"
    fitted = fit(config, corpus, device=pick_device(1.0), resume_from=state, on_epoch=on_epoch)
    save_model(
        model,
        fitted.model,
        config=config,
        corpus=corpus,
        spec=spec,
        evaluation=EvaluationConfig(),
        scores=None,
        epoch=fitted.best_epoch,
    )
    # Epochs of an interrupted run count by their own clocks.
    seconds = max(time.perf_counter() - began, sum(report.seconds for report in fitted.epochs))
    done = Trained(model, len(fitted.epochs), seconds)
    plain = {"epochs": done.epochs, "seconds": done.seconds}
    facts.write_text(json.dumps(plain) + "\n", encoding="utf-8")
    shutil.rmtree(state, ignore_errors=True)
    return done


def _finished(model: Path, facts: Path) -> Trained | None:
    try:
        verify_model(model)
        plain = json.loads(facts.read_text(encoding="utf-8"))
        shutil.rmtree(model.with_name("state"), ignore_errors=True)
        return Trained(model, int(plain["epochs"]), float(plain["seconds"]))
    except (CorruptCheckpoint, OSError, ValueError, KeyError, TypeError):
        return None
