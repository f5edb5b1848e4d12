"""Train one row of a table under one seed, or find it trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from safr_study.data import EncodedCorpus
from safr_study.errors import CorruptCheckpoint
from safr_study.home import Home
from safr_study.records import EpochReport
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig, fingerprint_of
from safr_study.training import fit, pick_device, save_model, verify_model


def training_key(config: TrainConfig, corpus: EncodedCorpus) -> str:
    """What decides a training's numbers, in 16 hexadecimal digits."""
    return fingerprint_of([config.model_dump(mode="json"), corpus.fingerprint])[:16]


def trained(
    config: TrainConfig,
    corpus: EncodedCorpus,
    spec: CorpusSpec,
    home: Home,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Path:
    """The folder of the trained model; trains it, or goes on training it, if it is not there.

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
    model = folder / "model"
    try:
        verify_model(model)
    except CorruptCheckpoint:
        device = pick_device(1.0)
        state = folder / "state"
        fitted = fit(config, corpus, device=device, resume_from=state, on_epoch=on_epoch)
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
        shutil.rmtree(state, ignore_errors=True)
    return model
