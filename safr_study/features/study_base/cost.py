"""What a study will cost: its time, before it begins and while it runs, and its disk."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safr_study.cluster.slots import TrialSlots, time_left
from safr_study.errors import BadInput
from safr_study.home import Home
from safr_study.records import TrialRecord
from safr_study.settings import EncoderShape, ModelShape, Objective, StudySpec, wanted

# A running study's times need no data, which are slow to import.
if TYPE_CHECKING:
    from safr_study.data import EncodedCorpus, EncodedSplit

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

RESERVE_BYTES = 200_000_000
"""Left for the ledger, the tracking database and logs."""


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
    vocabulary = corpus.vocabulary_size
    if corpus.pieces is not None:
        shape, vocabulary = _encoder_shape(shape, corpus.pieces.shape), corpus.pieces.shape.pieces
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
    parameters = count_parameters(shape, vocabulary, len(corpus.class_names))
    # A finished trial keeps its model; a running one also Adam's two moments and two best states.
    disk = 4 * parameters * (trials + 8 * slots.max_concurrent)
    wall = START_SECONDS + time_left([seconds] * trials, slots.max_concurrent)
    return Cost(wall, disk, parameters)


class TrialTimes:
    """What the trials of a study took so far, and what the remaining ones will take.

    What a trial takes is the mean of those that have ended; before there are any, its epochs at
    most, at the mean of those that have ended.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._most_epochs = spec.train.epochs * spec.seeds_per_trial
        self._epochs = self._trials = 0
        self._epoch_seconds = self._trial_seconds = 0.0

    def add(self, trial: TrialRecord, before: TrialRecord | None = None) -> None:
        """Count what is new of a trial since it was counted last, if it was."""
        new = trial.epochs[len(before.epochs) :] if before is not None else trial.epochs
        self._epochs += len(new)
        self._epoch_seconds += sum(epoch.seconds for epoch in new)
        if trial.counts and not (before is not None and before.counts):
            self._trials += 1
            self._trial_seconds += max(trial.seconds, _trained(trial))

    def left(self, running: Collection[TrialRecord], waiting: int, at_once: int) -> float | None:
        """Wall time until these trials have ended; ``None`` before the first epoch has.

        Args:
            running: trials that run now.
            waiting: number of trials still to begin.
            at_once: number of trials at once.
        """
        if not self._epochs:
            return None
        each = self._epoch_seconds / self._epochs * self._most_epochs
        if self._trials:
            each = self._trial_seconds / self._trials
        begun = [max(0.0, each - _trained(trial)) for trial in running]
        return time_left([*begun, *[each] * waiting], max(at_once, len(begun)))


def free_space_check(home: Home, needed_bytes: float) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        home: on that disk.
        needed_bytes: that are still to be written, for example ``Cost.disk_bytes``.

    Raises:
        BadInput: there is less.
    """
    free = shutil.disk_usage(home.root).free
    needed = needed_bytes + RESERVE_BYTES
    if needed > free:
        raise BadInput(
            "home",
            f"about {needed / 1e9:.1f} GB are needed below {home.root}, where {free / 1e9:.1f} GB "
            "are free; free some (safr-study clean), choose another disk with --home, or ask for "
            "fewer trials",
        )


def measured_objectives(spec: StudySpec) -> list[Objective]:
    """What is measured of each trial: the objectives, and the metrics of the constraints."""
    return [*spec.objectives, *(constraint.objective for constraint in spec.space.constraints)]


def count_parameters(shape: ModelShape, vocabulary: int, classes: int) -> int:
    """Trained numbers of one model."""
    e, d, m = shape.embed_dim, shape.ffn_dim, shape.mask_hidden_dim
    vmask = e * m + m + 2 * m + 2 if shape.vmask else 0
    block = 4 * (e * e + e) + (e * d + d) + (d * e + e) + 4 * e
    return vocabulary * e + vmask + shape.layers * block + e * classes + classes


def _encoder_shape(shape: ModelShape, encoder: EncoderShape) -> ModelShape:
    """An encoder's sizes as those of a model from scratch; its positions are left out."""
    fields = ("embed_dim", "ffn_dim", "heads", "layers")
    return shape.model_copy(update={name: getattr(encoder, name) for name in fields})


def _trained(trial: TrialRecord) -> float:
    return sum(epoch.seconds for epoch in trial.epochs)


def _operations(shape: ModelShape, split: EncodedSplit) -> float:
    """Floating point operations of one pass forward and backward over a split."""
    e, d, m = shape.embed_dim, shape.ffn_dim, shape.mask_hidden_dim
    per_token = 6 * (e * m * shape.vmask + shape.layers * (4 * e * e + 2 * e * d))
    lengths = split.lengths.astype(np.float64)
    attention = 6 * shape.layers * 2 * e * float((lengths**2).sum())
    interaction = 2 * shape.layers * shape.heads * float((lengths**3).sum())
    return per_token * float(lengths.sum()) + attention + interaction
