"""What a study will cost, before it begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safr_study.cluster.slots import TrialSlots
from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.settings import ModelShape, Objective, StudySpec, wanted

ASSUMED_FLOPS = {"cpu": 45e9, "gpu": 2e12}
"""Useful operations a second of one CPU core or GPU share in small matrices: a cautious guess,
replaced by the first epoch's measure."""
START_SECONDS = 15.0
"""Seconds until Ray and its workers are there, once."""
TRIAL_SECONDS = 2.0
"""Seconds of a trial next to training: a process that is made ready, ledger, checkpoint."""
STEP_SECONDS = 0.005
"""Seconds of a step next to its operations."""
FORWARD_SHARE = 1 / 3
"""A forward pass of forward + backward."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A rough estimate; early stopping, which may end trials sooner, is not foreseen."""

    seconds: float
    """Wall time of the whole study."""
    disk_bytes: int
    """Checkpoints while it runs and models when it is done."""
    parameters: int
    """Parameters of one model."""


def estimate(spec: StudySpec, corpus: EncodedCorpus, slots: TrialSlots, trials: int) -> Cost:
    """The cost of ``trials`` more trials."""
    shape = spec.train.shape.model_copy(
        update={k: v for k, v in spec.space.fixed.items() if k in ModelShape.model_fields}
    )
    training = _operations(shape, corpus.train)
    # Dev once an epoch; at the end once more, without and with deletions.
    dev = FORWARD_SHARE * _operations(shape, corpus.dev)
    measured = wanted(dict.fromkeys(metric.name for metric in measured_objectives(spec)))
    draws = spec.evaluation.draws * measured.random
    deletions = len(measured.shares) * (1 + draws + measured.bottom + measured.alone)
    # Each token of a sampled text is left out once.
    sampled = min(1.0, spec.evaluation.sample_texts / corpus.dev.examples)
    left_out = measured.leave_one_out * sampled * float(corpus.dev.lengths.mean())
    total = spec.train.epochs * (training + dev) + (1 + deletions + left_out) * dev
    device = "gpu" if slots.gpus_per_trial else "cpu"
    steps = spec.train.epochs * np.ceil(corpus.train.examples / spec.train.batch_size)
    seconds = total / ASSUMED_FLOPS[device] + float(steps) * STEP_SECONDS + TRIAL_SECONDS
    seconds *= spec.seeds_per_trial
    rounds = int(np.ceil(trials / slots.max_concurrent))
    parameters = count_parameters(shape, corpus.vocabulary_size, len(corpus.class_names))
    # A finished trial keeps its model; a running one also Adam's two moments and two best states.
    disk = 4 * parameters * (trials + 8 * slots.max_concurrent)
    return Cost(START_SECONDS + rounds * seconds, disk, parameters)


def measured_objectives(spec: StudySpec) -> list[Objective]:
    """What is measured of each trial: the objectives, and the metrics of the constraints."""
    return [*spec.objectives, *(constraint.objective for constraint in spec.space.constraints)]


def count_parameters(shape: ModelShape, vocabulary: int, classes: int) -> int:
    """Trained numbers of one model."""
    e, d, m = shape.embed_dim, shape.ffn_dim, shape.mask_hidden_dim
    vmask = e * m + m + 2 * m + 2 if shape.vmask else 0
    block = 4 * (e * e + e) + (e * d + d) + (d * e + e) + 4 * e
    return vocabulary * e + vmask + shape.layers * block + e * classes + classes


def _operations(shape: ModelShape, split: EncodedSplit) -> float:
    """Floating point operations of one pass forward and backward over a split."""
    e, d, m = shape.embed_dim, shape.ffn_dim, shape.mask_hidden_dim
    per_token = 6 * (e * m * shape.vmask + shape.layers * (4 * e * e + 2 * e * d))
    lengths = split.lengths.astype(np.float64)
    attention = 6 * shape.layers * 2 * e * float((lengths**2).sum())
    interaction = 2 * shape.layers * shape.heads * float((lengths**3).sum())
    return per_token * float(lengths.sum()) + attention + interaction
