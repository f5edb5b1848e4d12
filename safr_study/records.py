"""Facts, once they are facts: frozen records of what was trained, measured and ranked.

Accuracies and everything derived from them are in percentage points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class LossTerms:
    """Mean loss of one epoch by term; the penalties unweighted, ``None`` where not computed.

    A penalty is not computed without VMASK or at weight 0.
    """

    total: float
    cross_entropy: float
    importance: float | None
    interaction: float | None
    vmask_information: float | None = None


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch of training."""

    epoch: int
    """From 1."""
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


@dataclass(frozen=True, slots=True)
class DeletionScores:
    """Accuracy after deleting a share k of the tokens of each text (definitions, section 3)."""

    k: float
    """Share of the tokens, in (0, 1]."""
    realised_share: float
    """sum(q) / sum(n): the share really deleted after rounding."""
    accuracy_top: float
    """Accuracy without the top-k tokens by capacity."""
    srs: float
    """Accuracy lost: full minus ``accuracy_top``; higher = the tokens mattered more."""
    srs_se: float
    """Standard error of ``srs`` from one run's examples."""
    accuracy_random: float | None = None
    """Mean accuracy over the random draws; ``None`` where they were not needed."""
    srs_excess: float | None = None
    """``accuracy_random`` - ``accuracy_top``."""
    srs_excess_se: float | None = None
    dominant_share: float = 0.0
    """Share of the deleted texts that are predicted as the most frequent class, in [0, 1]."""
    saturated: bool = False
    """``dominant_share`` above 0.95: SRS measures a collapsed prediction, not a good ranking."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model was measured to be on one split."""

    split: str
    """``dev`` or ``test``."""
    examples: int
    accuracy: float
    accuracy_se: float
    """Binomial standard error, percentage points."""
    majority_accuracy: float
    """Accuracy of always naming the most frequent class of the split."""
    loss: float
    """Mean cross-entropy."""
    deletions: tuple[DeletionScores, ...] = ()
    """One per k, ascending."""

    @property
    def saturated(self) -> bool:
        """Whether any measured deletion collapsed the predictions."""
        return any(deletion.saturated for deletion in self.deletions)

    def deletion(self, k: float) -> DeletionScores:
        """The deletion at k.

        Raises:
            KeyError: it was not measured.
        """
        for deletion in self.deletions:
            if abs(deletion.k - k) < 1e-12:
                return deletion
        raise KeyError(k)


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """Where a trained state lies, and how to know it is whole."""

    uri: str
    """Absolute path of the folder."""
    sha256: str
    """Of the weights file, hexadecimal."""
    epoch: int
    """Whose state it is."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a number, beside the settings."""

    commit: str | None
    """Git commit of the installed sources; ``None`` outside a checkout."""
    versions: Mapping[str, str]
    """Python and the libraries that decide numbers."""
    corpus_fingerprint: str
    device: str
    """For example ``cpu`` or the GPU's name."""


class TrialState(StrEnum):
    """How a trial stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial of a study, as the ledger has it."""

    number: int
    """From 0, in the order of asking."""
    state: TrialState
    parameters: Mapping[str, Value | None]
    """The settings that the space decides, exact zeros put in, nulls where VMASK is absent."""
    seed: int
    baseline: str | None = None
    """Name of the baseline, for those."""
    values: tuple[float, ...] | None = None
    """The objectives in the study's order, for a complete trial."""
    scores: Scores | None = None
    checkpoint: CheckpointRef | None = None
    """The best state, for a complete trial."""
    epochs: tuple[EpochReport, ...] = ()
    failure: str | None = None
    """The sentence, for a failed trial."""
    seconds: float = 0.0
    """Training and evaluation, on the worker."""
    device: str | None = None
    """Where it ran."""
    run_id: str | None = None
    """MLflow run."""

    @property
    def saturated(self) -> bool:
        """Whether its SRS measures a collapsed prediction."""
        return self.scores is not None and self.scores.saturated

    @property
    def label(self) -> str:
        """A short name that says the setting: ``no-vmask`` or ``imp=0.01 inter=0``."""
        if self.baseline is not None:
            return self.baseline
        parts = [
            f"{name.removeprefix('lambda_')}={value:.3g}"
            if isinstance(value, float)
            else f"{name.removeprefix('lambda_')}={value}"
            for name, value in self.parameters.items()
            if value is not None and not (name == "vmask" and value is True)
        ]
        return " ".join(parts) or "defaults"


@dataclass(frozen=True, slots=True)
class RankedTrial:
    """A complete trial with its place among the others."""

    trial: TrialRecord
    front: int
    """0 = not dominated by any."""
    crowding: float
    """Crowding distance inside its front; infinite at the ends."""
    knee: bool = False
    """The front's best compromise; never a saturated trial."""

    @property
    def on_front(self) -> bool:
        """Whether no other trial dominates it."""
        return self.front == 0


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A study's trials, ranked."""

    name: str
    dataset: str
    objectives: tuple[str, ...]
    reference_point: tuple[float, ...]
    """Against which the hypervolume is measured; stored with the study."""
    hypervolume: float
    """Of the front, in the product of the objectives' units."""
    ranked: tuple[RankedTrial, ...]
    """Complete trials: by front, then by the first objective, best first."""
    unranked: tuple[TrialRecord, ...] = ()
    """All the others."""
    asked: int = 0
    """Trials that the study was asked to finish."""

    @property
    def front(self) -> tuple[RankedTrial, ...]:
        """The members of the first front."""
        return tuple(ranked for ranked in self.ranked if ranked.on_front)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One version in the registry."""

    name: str
    version: str
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None


class StudyObserver(Protocol):
    """Who wants to know how a study goes on; called on the driver, must not raise or block."""

    def trial_started(self, trial: TrialRecord) -> None:
        """A trial begins, or goes on after an interruption."""

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """An epoch of a trial is in the ledger."""

    def trial_ended(self, trial: TrialRecord) -> None:
        """A trial is complete or failed, and in the ledger."""


def to_plain(record: Any) -> Any:
    """A record as JSON values (dataclasses to dicts, tuples to lists), for ledgers and output."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {f.name: to_plain(getattr(record, f.name)) for f in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): to_plain(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_plain(value) for value in record]
    return record


def epoch_from_plain(plain: Mapping[str, Any]) -> EpochReport:
    """The inverse of ``to_plain`` for an epoch."""
    return EpochReport(**{**plain, "train": LossTerms(**plain["train"])})


def scores_from_plain(plain: Mapping[str, Any]) -> Scores:
    """The inverse of ``to_plain`` for scores."""
    deletions = tuple(DeletionScores(**deletion) for deletion in plain["deletions"])
    return Scores(**{**plain, "deletions": deletions})
