"""Trials, studies, what follows from a study's trials, and registered models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from safr_study.records.run import Attempt, CheckpointRef, EpochReport, Replicate
from safr_study.records.scores import Scores
from safr_study.settings import RIVALS_OFF, Constraint, Value
from safr_study.text import plural

if TYPE_CHECKING:
    from safr_study.records.cost import StudyCost

Role = Literal["knee", "compromise", "best-accuracy", "best-srs"]
"""A front member's role, which is the end of its alias in the registry."""
ROLES: tuple[Role, ...] = get_args(Role)
"""All roles, the most useful first."""
_OF_VMASK = ("mask_hidden_dim", "gumbel_temperature", "vmask_beta")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a number, beside the settings."""

    commit: str | None
    """Git commit of the installed sources; ``None`` outside a checkout."""
    versions: Mapping[str, str]
    """Python and the libraries that decide numbers."""
    corpus_fingerprint: str
    device: str
    """Device: ``cpu``, or the GPU's name."""


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
    """Number from 0, in the order of asking."""
    state: TrialState
    parameters: Mapping[str, Value | None]
    """The settings that the space decides, exact zeros put in, nulls where VMASK is absent."""
    seed: int
    baseline: str | None = None
    """Name of the baseline, for those."""
    values: tuple[float, ...] | None = None
    """The objectives in the study's order, for a complete trial; means over its replicates."""
    scores: Scores | None = None
    checkpoint: CheckpointRef | None = None
    """The best state, for a complete trial."""
    epochs: tuple[EpochReport, ...] = ()
    failure: str | None = None
    """The sentence, for a failed trial."""
    stopped_at: int | None = None
    """Rung, in epochs, at which the scheduler pruned it, or would have pruned a control trial."""
    paused_at: int | None = None
    """Rung, in epochs, at which a trial waits that is still to be continued or pruned."""
    control: bool = False
    """Whether it was to be pruned and was trained to its end, to measure what pruning costs; in
    studies that began since, it is complete then."""
    control_values: tuple[float, ...] | None = None
    """The objectives at the end of a control trial that is not ranked."""
    replicates: tuple[Replicate, ...] = ()
    """Each seed's own, where there are several; the checkpoint is the first one's."""
    violations: tuple[float, ...] = ()
    """Amount by which each constraint of the space is missed; at most 0 where it is kept."""
    seconds: float = 0.0
    """Training and evaluation, on the worker."""
    device: str | None = None
    """Device on which it ran."""
    node: str | None = None
    """Ray's id of the node on which it ended."""
    run_id: str | None = None
    """MLflow run."""
    ended: float | None = None
    """Time of its end, in seconds since the epoch."""
    attempts: tuple[Attempt, ...] = ()
    """What each worker took for it; empty in a ledger of an earlier version."""
    lost_seconds: float = 0.0
    """Work on it that was lost with a worker or its state, and done again."""

    @property
    def saturated(self) -> bool:
        """Whether its SRS measures a collapsed prediction."""
        return self.scores is not None and self.scores.saturated

    @property
    def beats_majority(self) -> bool:
        """Whether it is more accurate than always naming the largest class; true if unmeasured."""
        majority = None if self.scores is None else self.scores.value("majority_accuracy")
        return self.scores is None or majority is None or self.scores.accuracy > majority

    @property
    def counts(self) -> bool:
        """Whether it is one of those that its study was asked for: complete, or stopped early."""
        return self.state in {TrialState.COMPLETE, TrialState.PRUNED}

    @property
    def feasible(self) -> bool:
        """Whether it keeps every constraint."""
        return all(violation <= 0 for violation in self.violations)

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
            if value is not None
            and RIVALS_OFF.get(name) != value
            and not (name == "vmask" and value is True)
            # What a model without VMASK does not have.
            and not (name in _OF_VMASK and self.parameters.get("vmask") is False)
        ]
        return " ".join(parts) or "defaults"


def binding(
    trial: TrialRecord, constraints: Sequence[Constraint], violations: Sequence[float]
) -> tuple[float, ...]:
    """A trial's violations, without those of constraints that do not apply to it.

    A baseline without VMASK keeps a constraint on the gates, which it does not have. A trial that
    was searched is held to it, as it could have had them.

    Args:
        trial: whose they are.
        constraints: of the space.
        violations: in their order, as measured; none before they are.
    """
    if trial.baseline is None or trial.parameters.get("vmask") is not False:
        return tuple(violations)
    of_gates = {at for at, one in enumerate(constraints) if one.objective.needs_vmask}
    return tuple(min(0.0, by) if at in of_gates else by for at, by in enumerate(violations))


@dataclass(frozen=True, slots=True)
class RankedTrial:
    """A complete trial with its place among the others."""

    trial: TrialRecord
    front: int
    """0 = not dominated by any."""
    crowding: float
    """Crowding distance inside its front; infinite at the ends."""
    knee: bool = False
    """Whether it lies farthest beyond the line through the front's ends; never a saturated one."""
    compromise: bool = False
    """Whether its worst scaled objective is the best of a front without a knee."""

    @property
    def on_front(self) -> bool:
        """Whether no other trial dominates it."""
        return self.front == 0

    @property
    def choice(self) -> Literal["knee", "compromise"] | None:
        """What the front offers it as; ``None``: as one member of many."""
        return "knee" if self.knee else "compromise" if self.compromise else None

    @property
    def objectives(self) -> tuple[float, ...]:
        """Values of the objectives in the study's order; a ranked trial always has them."""
        return self.trial.values or ()


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A study's trials, ranked."""

    name: str
    dataset: str
    objectives: tuple[str, ...]
    reference_point: tuple[float, ...]
    """Point over which the hypervolume is measured; stored with the study."""
    hypervolume: float
    """Hypervolume of the front, in the product of the objectives' units."""
    ranked: tuple[RankedTrial, ...]
    """Complete trials that keep every constraint: by front, then by the first objective, best
    first."""
    unranked: tuple[TrialRecord, ...] = ()
    """All the others."""
    asked: int = 0
    """Trials that the study was asked to finish."""
    constraints: tuple[str, ...] = ()
    """Texts, in the order of the trials' violations."""
    rungs: tuple[int, ...] = ()
    """Epochs after which trials could be stopped."""
    confirmed_seeds: tuple[int, ...] = ()
    """New ones under which trials were trained anew; the values here are the search's own."""
    cost: StudyCost | None = None
    """Work of its trials; ``None``: not asked for."""
    recommended: tuple[int, ...] | None = None
    """Numbers of the complete trials whose settings freeze-thaw expects to be the front, without
    the luck of single trainings; ``None``: another scheduler."""

    @property
    def front(self) -> tuple[RankedTrial, ...]:
        """The members of the first front."""
        return tuple(ranked for ranked in self.ranked if ranked.on_front)

    @property
    def knee(self) -> RankedTrial | None:
        """The member farthest beyond the line through the front's ends; ``None``: there is none."""
        return next((ranked for ranked in self.ranked if ranked.knee), None)

    @property
    def compromise(self) -> RankedTrial | None:
        """The member whose worst scaled objective is best, where there is no knee."""
        return next((ranked for ranked in self.ranked if ranked.compromise), None)

    @property
    def choice(self) -> RankedTrial | None:
        """The knee, or else the compromise; ``None``: the front has neither."""
        return next((ranked for ranked in self.ranked if ranked.choice is not None), None)

    @property
    def unbeaten(self) -> Literal["majority", "baselines"] | None:
        """What no ranked trial beats; ``None``: a searched one beats both, or none is ranked.

        ``majority``: none is more accurate than always naming the largest class. ``baselines``:
        every member of the front is a baseline, equal to one, saturated, or no better than that
        class.
        """
        if self.ranked and not any(ranked.trial.beats_majority for ranked in self.ranked):
            return "majority"
        known = {ranked.objectives for ranked in self.ranked if ranked.trial.baseline is not None}
        won = (
            ranked.objectives not in known
            and ranked.trial.beats_majority
            and not ranked.trial.saturated
            for ranked in self.front
        )
        return "baselines" if known and not any(won) else None

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials: the ranked ones in their order, then the others."""
        return (*(ranked.trial for ranked in self.ranked), *self.unranked)

    def count(self, state: TrialState) -> int:
        """Number of trials in a state."""
        return sum(trial.state is state for trial in self.trials)

    @property
    def infeasible(self) -> tuple[TrialRecord, ...]:
        """Complete trials that miss a constraint: they are measured, but not ranked."""
        complete = TrialState.COMPLETE
        return tuple(t for t in self.unranked if t.state is complete and not t.feasible)

    @property
    def nothing_ranked(self) -> str:
        """What a study without a ranked trial has, for a sentence."""
        broken = len(self.infeasible)
        if not broken:
            return "no complete trial yet"
        kept = " and ".join(self.constraints)
        return f"no trial that keeps {kept} yet ({plural(broken, 'complete trial')} did not)"


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """A study just after one of its trials ended."""

    trial: int
    """The number of that trial."""
    ended: float | None
    """Time of its end in seconds since the epoch; ``None``: not recorded."""
    trials: int
    """Number of trials that had ended by then, failed and pruned ones too."""
    epochs: int
    """Epochs that these had trained, all seeds of a trial counted as its first."""
    hypervolume: float
    """Hypervolume of the front by then, in the product of the objectives' units."""


@dataclass(frozen=True, slots=True)
class Importance:
    """One hyperparameter and one objective.

    The raw number is PED-ANOVA's (Watanabe et al., IJCAI 2023): how differently the best trials
    and all trials are spread over the parameter's range (a Pearson divergence).
    """

    parameter: str
    objective: str
    """Its name."""
    divergence: float
    """Divergence, at least 0; it grows where the best trials keep to a part of the range."""
    chance: float
    """The divergence that a shuffled objective stays below in 95 % of the shuffles."""
    p: float
    """Share of the shuffles with as large a divergence, in (0, 1]."""
    rho: float | None
    """Spearman's rank correlation of parameter and objective, in [-1, 1]; ``None`` for a parameter
    without an order, or where all values are equal."""
    trials: int
    """Number of trials that it was estimated from."""

    @property
    def strength(self) -> float:
        """The divergence in units of chance: above 1 is more than chance in 95 of 100 studies."""
        return self.divergence / self.chance if self.chance > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One version in the registry."""

    name: str
    version: str
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None


class StudyObserver(Protocol):
    """Listener to the progress of a study; called on the driver, must not raise or block."""

    def trial_started(self, trial: TrialRecord) -> None:
        """A trial begins, or goes on after an interruption."""

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """An epoch of a trial is in the ledger."""

    def trial_paused(self, trial: TrialRecord) -> None:
        """A trial waits at a rung; ``trial_started`` or ``trial_ended`` follows."""

    def trial_ended(self, trial: TrialRecord) -> None:
        """A trial is complete or failed, and in the ledger."""
