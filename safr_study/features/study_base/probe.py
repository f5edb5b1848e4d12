"""How fast this machine trains a study's model: a few real steps, before anything is begun."""

from __future__ import annotations

import itertools
import time

import torch

from safr_study.data import EncodedCorpus, training_batches
from safr_study.features.study_base.cost import operations_of
from safr_study.model import piece_counts
from safr_study.settings import StudySpec, trial_config
from safr_study.training import computing
from safr_study.training.loop import begin_training
from safr_study.training.steps import stepping

SECONDS = 5.0
"""Time of the steps that are measured, about."""
_FIRST = 2
"""Steps that come before: they ask for memory and choose kernels."""
_FEWEST = 3


def training_rate(spec: StudySpec, corpus: EncodedCorpus, seconds: float = SECONDS) -> float:
    """Useful operations a second of one trial's training on this machine's processor.

    All that a step does beside its products is in it. The penalties are on, as in most trials.

    Args:
        spec: the study; its models are of its template and of what its space fixes.
        corpus: encoded.
        seconds: at least three steps are measured, and more until this time is over.
    """
    config = trial_config(spec.train, dict(spec.space.fixed), seed=spec.seed)
    if config.shape.vmask:
        weights = {"lambda_imp": 0.1, "lambda_inter": 0.1}
        config = config.model_copy(
            update={"penalties": config.penalties.model_copy(update=weights)}
        )
    model, optimizer = begin_training(config, corpus, torch.device("cpu"))
    model.train()
    pad_to = corpus.max_len if config.preset == "reference" else None
    batches = itertools.chain.from_iterable(
        training_batches(
            corpus.train,
            config.batch_size,
            seed=config.seed,
            epoch=epoch,
            pad_to=pad_to,
            pieces=piece_counts(model),
        )
        for epoch in itertools.count(1)
    )
    with (
        computing(config.threads),
        stepping(config, model, optimizer, torch.Generator()) as step,
    ):
        for batch in itertools.islice(batches, _FIRST):
            step(batch)
        rows: list[int] = []
        began, steps = time.perf_counter(), 0
        for steps, batch in enumerate(batches, start=1):
            step(batch)
            rows.extend(batch.index.tolist())
            took = time.perf_counter() - began
            if steps >= _FEWEST and took >= seconds:
                break
    return operations_of(spec, corpus, rows) / took
