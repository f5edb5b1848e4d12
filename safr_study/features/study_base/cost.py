"""What a study will cost: its time, before it begins and while it runs, and its disk."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from safr_study.cluster.slots import TrialSlots, time_left
from safr_study.errors import BadInput
from safr_study.home import Home
from safr_study.records import TrialRecord
from safr_study.settings import EncoderShape, ModelShape, Objective, StudySpec, wanted

# A running study's times need no data, which are slow to import.
if TYPE_CHECKING:
    from safr_study.data import EncodedCorpus, EncodedSplit
    from safr_study.data.pieces import WordPieces

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
_CAUSES = 70
"""Passes over a text that taking away neurons of all its words is worth."""
_ORDERS = 500
"""Passes over a whole text that looking for its best and worst order is worth."""

PROCESS_BYTES = 450_000_000
"""What a worker takes next to its model: Python, torch, Ray, and the data."""
RESERVE_BYTES = 200_000_000
"""Left for the ledger, the tracking database and logs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate."""

    seconds: float
    """Wall time of the whole study, if no trial is stopped early."""
    disk_bytes: int
    """Checkpoints while it runs and models when it is done."""
    parameters: int
    """Parameters of one model."""
    memory_bytes: int
    """What one trial takes at its peak: of the machine, or of a GPU."""
    least_seconds: float
    """Wall time if as many trials are stopped as the scheduler aims at."""
    measured: bool = False
    """Whether the times are by steps that were tried on this machine."""


def estimate(
    spec: StudySpec,
    corpus: EncodedCorpus,
    slots: TrialSlots,
    trials: int,
    rate: float | None = None,
) -> Cost:
    """The cost of ``trials`` more trials.

    Args:
        spec: the study.
        corpus: encoded.
        slots: of its trials.
        trials: to do.
        rate: useful operations a second, as measured by `probe.training_rate`; ``None``: a guess.
    """
    from safr_study.data import epoch_steps, epochs_of_pass

    shape, parameters, trained = _sizes(spec, corpus)
    pieces, train = corpus.pieces, spec.train
    lengths = {name: _positions(split, pieces) for name, split in corpus.splits.items()}
    # Without gradients of the encoder's weights a third of a step's products is left out.
    head_alone = trained < parameters
    training = (2 / 3 if head_alone else 1.0) * _operations(shape, lengths["train"])
    training /= epochs_of_pass(corpus.train.examples, train.epoch_texts)
    # Dev once an epoch; at the end once more, without and with deletions.
    dev = FORWARD_SHARE * _operations(shape, lengths["dev"])
    measured = wanted(dict.fromkeys(metric.name for metric in measured_objectives(spec)))
    # Each token of a sampled text is left out once.
    sampled = min(1.0, spec.evaluation.sample_texts / corpus.dev.examples)
    left_out = measured.leave_one_out * sampled * float(corpus.dev.lengths.mean())
    taken = min(1.0, spec.evaluation.cause_texts / corpus.dev.examples) * _CAUSES
    causes = taken * max(measured.causes, default=0.0)
    orders = measured.naopc * spec.evaluation.naopc_texts * _ORDERS / corpus.dev.examples
    passes = measured.passes(spec.evaluation.draws) + left_out + causes + orders
    steps = epoch_steps(corpus.train.examples, train.batch_size, train.epoch_texts, train.epochs)
    per_second = rate or ASSUMED_FLOPS["gpu" if slots.gpus_per_trial else "cpu"]
    per_step = STEP_SECONDS if rate is None else 0.0

    def wall(epochs: Sequence[float]) -> float:
        """Wall time of trials of so many epochs each."""
        seconds = [
            spec.seeds_per_trial
            * ((of * (training + dev) + passes * dev) / per_second + of * each + TRIAL_SECONDS)
            for of in epochs
        ]
        return START_SECONDS + time_left(seconds, slots.max_concurrent)

    each = float(steps.mean()) * per_step
    # A finished trial keeps its model; a running one also Adam's two moments and two best states.
    disk = 4 * parameters * (trials + 8 * slots.max_concurrent)
    batch = int(spec.space.fixed.get("batch_size", train.batch_size))
    longest = max(int(one.max(initial=1)) for one in lengths.values())
    values = max(
        _kept_in_training(shape, min(batch, corpus.train.examples), longest),
        0 if pieces is None else _kept_in_evaluation(shape, longest),
    )
    # Weights, and for those that are trained the gradient and Adam's two moments.
    memory = PROCESS_BYTES + 4 * (parameters + 3 * trained + values)
    return Cost(
        seconds=wall([float(train.epochs)] * trials),
        least_seconds=wall(expected_epochs(spec, trials)),
        disk_bytes=disk,
        parameters=parameters,
        memory_bytes=memory,
        measured=rate is not None,
    )


def expected_epochs(spec: StudySpec, trials: int) -> list[float]:
    """Epochs of each trial where early stopping lets as few go on as it aims at.

    At each rung the first few go on, as nobody is there to beat them, then one in ``reduction``,
    and of the others those that run on as controls.
    """
    scheduler, epochs = spec.scheduler, spec.train.epochs
    exempt = min(trials, len(spec.space.baselines))
    going, found = float(trials - exempt), [float(epochs)] * exempt
    share = 1 / scheduler.reduction
    share += (1 - share) * scheduler.run_on
    for rung in scheduler.rungs(epochs):
        first = min(going, float(scheduler.min_peers))
        stays = first + (going - first) * share
        found += [float(rung)] * round(going - stays)
        going = float(trials - len(found))
    return found + [float(epochs)] * (trials - len(found))


def operations_of(spec: StudySpec, corpus: EncodedCorpus, rows: Sequence[int]) -> float:
    """Useful operations of training on these texts, which may repeat."""
    shape, parameters, trained = _sizes(spec, corpus)
    positions = _positions(corpus.train, corpus.pieces)[np.asarray(rows, dtype=np.int64)]
    return (2 / 3 if trained < parameters else 1.0) * _operations(shape, positions)


def _sizes(spec: StudySpec, corpus: EncodedCorpus) -> tuple[ModelShape, int, int]:
    """Sizes of a trial's model, its parameters, and how many of them are trained."""
    shape = spec.train.shape.model_copy(
        update={k: v for k, v in spec.space.fixed.items() if k in ModelShape.model_fields}
    )
    classes, pieces = len(corpus.class_names), corpus.pieces
    if pieces is None:
        parameters = count_parameters(shape, corpus.vocabulary_size, classes)
        return shape, parameters, parameters
    shape = _encoder_shape(shape, pieces.shape)
    parameters = trained = encoder_parameters(pieces.shape, shape, classes)
    if spec.space.fixed.get("train_encoder", spec.train.train_encoder) == "head":
        trained = count_parameters(shape.model_copy(update={"layers": 0}), 0, classes)
    return shape, parameters, trained


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


def encoder_parameters(encoder: EncoderShape, shape: ModelShape, classes: int) -> int:
    """Numbers of a model over an encoder, those that are not trained too.

    Args:
        encoder: its sizes.
        shape: those of its blocks, and VMASK's.
        classes: C.
    """
    e, p, m = encoder.embed_dim, encoder.piece_dim, shape.mask_hidden_dim
    # VMASK sees the embedding, which may be narrower than the blocks.
    vmask = p * m + m + 2 * m + 2 if shape.vmask else 0
    blocks = count_parameters(shape.model_copy(update={"vmask": False}), 0, classes)
    tables = (encoder.pieces + encoder.positions + encoder.segments) * p
    return tables + 2 * p + (0 if p == e else p * e + e) + vmask + blocks


def _encoder_shape(shape: ModelShape, encoder: EncoderShape) -> ModelShape:
    """An encoder's sizes as those of the blocks of a model from scratch."""
    fields = ("embed_dim", "ffn_dim", "heads", "layers")
    return shape.model_copy(update={name: getattr(encoder, name) for name in fields})


def _trained(trial: TrialRecord) -> float:
    return sum(epoch.seconds for epoch in trial.epochs)


def _positions(split: EncodedSplit, pieces: WordPieces | None) -> NDArray[np.int64]:
    """Positions of each text in the model ``[N]``: words, or pieces and the special ones."""
    if pieces is None:
        return split.lengths
    from safr_study.data import piece_lengths
    from safr_study.model import SPECIAL

    return piece_lengths(split, np.diff(pieces.offsets)) + SPECIAL


def _kept_in_training(shape: ModelShape, texts: int, length: int) -> int:
    """Numbers that a step keeps for its backward pass, about, in a batch of long texts."""
    of_block = 13 * shape.embed_dim + 2 * shape.ffn_dim + 3 * shape.heads * length
    of_word = 3 * shape.embed_dim + shape.mask_hidden_dim * shape.vmask
    return texts * length * (shape.layers * of_block + of_word)


def _kept_in_evaluation(shape: ModelShape, length: int) -> int:
    """Numbers that a pass of an encoder gives, of every block."""
    from safr_study.data.batching import POSITIONS

    of_block = 3 * shape.embed_dim + 2 * shape.ffn_dim + shape.heads * length
    return max(POSITIONS, length) * shape.layers * of_block


def _operations(shape: ModelShape, positions: NDArray[np.int64]) -> float:
    """Floating point operations of one pass forward and backward over texts of these lengths."""
    e, d, m = shape.embed_dim, shape.ffn_dim, shape.mask_hidden_dim
    per_token = 6 * (e * m * shape.vmask + shape.layers * (4 * e * e + 2 * e * d))
    lengths = positions.astype(np.float64)
    attention = 6 * shape.layers * 2 * e * float((lengths**2).sum())
    interaction = 2 * shape.layers * shape.heads * float((lengths**3).sum())
    return per_token * float(lengths.sum()) + attention + interaction
