"""A run: one training under one seed, measured.

Trials of a search, the runs of a confirmation and the rows of the paper's tables all end as one of
these. Accuracies and what derives from them are in percentage points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from safr_study.records.plain import to_plain
from safr_study.records.scores import Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Right = NDArray[np.bool_]
    """Right answers, text by text."""

RunKey = tuple[int, int]
"""Trial number and seed."""
MAX_DRAWS = 35
"""Random deletions whose number of right answers one base-36 character can hold."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class LossTerms:
    """Mean loss of one epoch by term; the penalties unweighted, ``None`` where not computed.

    A penalty is not computed at weight 0, and one of SAFR or VMASK not without VMASK.
    """

    total: float
    cross_entropy: float
    importance: float | None
    interaction: float | None
    vmask_information: float | None = None
    l1: float | None = None
    orthogonality: float | None = None


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch of training."""

    epoch: int
    """Number of the epoch, from 1."""
    train: LossTerms
    dev_accuracy: float
    """Percentage points."""
    dev_loss: float
    """Mean cross-entropy on dev."""
    gate_openness: float | None
    """Mean keep-probability over the real dev tokens, in [0, 1]; ``None`` without VMASK."""
    mean_norm: float
    """Mean Euclidean norm of the (masked) embeddings of the real dev tokens."""
    best: bool
    """Whether this epoch is the best so far."""
    seconds: float
    """Wall time of the epoch, dev evaluation included."""
    effective_importance: float | None = None
    """lambda_imp |grad L_importance| / |grad L_CE| on one fixed batch; ``None`` at weight 0."""
    effective_interaction: float | None = None
    """The same of lambda_inter and L_interaction."""
    effective_information: float | None = None
    """The same of vmask_beta and VMASK's information loss."""
    effective_l1: float | None = None
    """The same of lambda_l1 and L_l1."""
    effective_orthogonality: float | None = None
    """The same of lambda_ortho and L_orthogonality."""
    objectives: tuple[float, ...] | None = None
    """Objectives at a rung, on a fixed subsample of dev, in the study's order."""
    system: Mapping[str, float] | None = None
    """What the epoch took of its machine, on request, by MLflow's names of system metrics."""


@dataclass(frozen=True, slots=True)
class EffectiveWeights:
    """Effective weights lambda |grad of the term| / |grad of the cross-entropy|, at least 0.

    ``None`` where a term is not computed (weight 0, or no VMASK), and where the ratio is no number:
    once every text of the batch is fitted perfectly, the gradient of the cross-entropy is 0.
    """

    importance: float | None = None
    interaction: float | None = None
    information: float | None = None
    l1: float | None = None
    orthogonality: float | None = None


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """Location of a trained state, and the checksum that shows whether it is whole."""

    uri: str
    """Absolute path of the folder."""
    sha256: str
    """Digest of the weights file, hexadecimal."""
    epoch: int
    """Epoch of the state."""


@dataclass(frozen=True, slots=True)
class Replicate:
    """One training of a trial among several that differ by their seed alone."""

    seed: int
    values: tuple[float, ...]
    """The objectives in the study's order."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Which texts of a split were predicted right, whole and after each deletion.

    Deletions are by k in percent as text, as in a metric's name: ``30``. Bits are the hexadecimal
    digits of `numpy.packbits` (the first text is the highest bit, the rest of the last byte is 0),
    counts one base-36 digit per text.
    """

    examples: int
    full: str
    """Bits of the whole texts."""
    top: Mapping[str, str] = field(default_factory=dict)
    """Bits without the top k."""
    draws: int = 0
    """B, the number of random deletions; 0: there are none."""
    random: Mapping[str, str] = field(default_factory=dict)
    """Number of draws in which each text was right without a random k; empty where there are more
    draws than a digit holds."""

    def __post_init__(self) -> None:
        width, counts = 2 * -(-self.examples // 8), frozenset(_DIGITS[: self.draws + 1])
        if not all(
            len(bits) == width and set(bits) <= _HEX for bits in (self.full, *self.top.values())
        ):
            raise ValueError(f"{self.examples} texts need as many bits, as hexadecimal digits")
        if not all(len(d) == self.examples and counts >= set(d) for d in self.random.values()):
            raise ValueError(f"{self.examples} texts need counts of at most {self.draws} draws")

    @classmethod
    def pack(cls, full: Right, deleted: Mapping[float, tuple[Right, Right | None]]) -> Self:
        """Pack `full` `[N]` and, by k in (0, 1], the texts right without the top and at random.

        Args:
            full: `[N]`.
            deleted: top `[N]`, and random `[B, N]` or ``None``.
        """
        drawn = {k: random for k, (_, random) in deleted.items() if random is not None}
        draws = max((len(random) for random in drawn.values()), default=0)
        if draws > MAX_DRAWS:
            drawn, draws = {}, 0
        return cls(
            examples=len(full),
            full=_packed(full),
            top={_percent(k): _packed(top) for k, (top, _) in deleted.items()},
            draws=draws,
            random={
                _percent(k): "".join(_DIGITS[count] for count in random.sum(axis=0).tolist())
                for k, random in drawn.items()
            },
        )

    def whole(self) -> Right:
        """`[N]`: right on the whole text."""
        return self._unpacked(self.full)

    def without_top(self, k: float) -> Right:
        """`[N]`: right without the top k.

        Raises:
            KeyError: that k was not deleted.
        """
        return self._unpacked(self.top[_percent(k)])

    def without_random(self, k: float) -> NDArray[np.float64] | None:
        """`[N]`: share of the draws that were right, in [0, 1]; ``None``: not kept."""
        digits = self.random.get(_percent(k))
        if digits is None:
            return None
        import numpy as np  # slow to import: the commands that show help do without

        codes = np.frombuffer(digits.encode("ascii"), dtype=np.uint8).astype(np.int64)
        return np.where(codes >= ord("a"), codes - ord("a") + 10, codes - ord("0")) / self.draws

    def _unpacked(self, digits: str) -> Right:
        import numpy as np

        packed = np.frombuffer(bytes.fromhex(digits), dtype=np.uint8)
        return np.unpackbits(packed, count=self.examples).astype(bool)


NO_ANSWERS = Answers(0, "")
"""Answers where they were not kept."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on one split."""

    scores: Scores
    values: tuple[float | None, ...]
    """The study's objectives, in its order; ``None`` where one is undefined, on test alone."""
    answers: Answers = NO_ANSWERS

    def value_of(self, metric: str) -> float | None:
        """Value of the metric of this name; ``None`` where it was not measured, or is undefined."""
        try:
            return self.scores.value(metric)
        except KeyError:
            return None


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of one training under one seed: what was measured and kept, or why it failed."""

    trial: int
    """Number of the trial, or of the run in a table of the paper."""
    seed: int
    dev: Measured | None = None
    """``None``: it failed."""
    checkpoint: CheckpointRef | None = None
    violations: tuple[float, ...] = ()
    """Violations of the space's constraints; means over the seeds of a trial."""
    epochs: int = 0
    """Number of epochs trained."""
    seconds: float = 0.0
    """Training and evaluation on dev, on the worker."""
    device: str = ""
    ended: str = ""
    """Time of its end, ISO 8601 in UTC."""
    failure: str | None = None
    """The sentence, for a run that failed."""
    test: Measured | None = None
    test_read: str | None = None
    """Time at which the test set was read for this model, ISO 8601 in UTC."""
    node: str = ""
    """Ray's id of the node on which it ended."""
    replicates: tuple[Replicate, ...] = ()
    """The objectives under each seed of a search's trial, its own first."""
    line: str | None = None
    """The JSON line of a run of the paper's tables."""

    @property
    def key(self) -> RunKey:
        """Trial and seed."""
        return self.trial, self.seed

    @property
    def values(self) -> tuple[float, ...]:
        """The objectives on dev; empty for a failed run."""
        if self.dev is None:
            return ()
        return tuple(value for value in self.dev.values if value is not None)

    @property
    def mean_values(self) -> tuple[float, ...]:
        """The objectives on dev, means over the seeds."""
        columns = zip(*(replicate.values for replicate in self.replicates), strict=True)
        return tuple(math.fsum(column) / len(self.replicates) for column in columns)

    @property
    def saturated(self) -> bool:
        """Whether its SRS on dev measures a collapsed prediction."""
        return self.dev is not None and self.dev.scores.saturated


@dataclass(frozen=True, slots=True)
class Spent:
    """What a worker has taken for a run so far."""

    seconds: float = 0.0
    """Time since it was handed the run."""
    device: str = ""
    node: str = ""
    """Ray's id of its node."""
    joules: float | None = None
    """Energy by the counters of its machine; ``None``: none can be read."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one worker took for a trial, until it ended it or was last heard of."""

    number: int
    """Number from 0: each time that the trial is resumed is one more."""
    seconds: float
    cpus: float
    """Cores set aside for it."""
    gpus: float
    """GPUs set aside for it, or a share of one."""
    joules: float | None = None
    """Energy by the counters of its machine; ``None``: none could be read."""


_NOT_IN_SCHEMA = ("node", "replicates", "line")
"""Fields that schema 1 of a confirmed run does not have."""


def run_to_plain(run: RunResult) -> dict[str, Any]:
    """A run as a confirmation keeps and shows it."""
    plain: dict[str, Any] = to_plain(run)
    return {name: value for name, value in plain.items() if name not in _NOT_IN_SCHEMA}


@dataclass(frozen=True, slots=True)
class ReadingOfTest:
    """One time that a confirmation opened the test set; written before it does."""

    at: str
    """ISO 8601 in UTC."""
    runs: tuple[tuple[int, int], ...]
    """(trial, seed) of the models it was read for."""
    chosen: Mapping[str, int]
    """Trial number by role (``knee`` and so on), as decided on dev by then."""


def _packed(right: Right) -> str:
    import numpy as np

    return np.packbits(right).tobytes().hex()


def _percent(k: float) -> str:
    return f"{100 * k:g}"
