"""What a study has cost: the work of its trials, and what it came to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Self

from safr_study.records.study import TrialRecord, TrialState

_HOUR = 3600.0
_KWH = 3.6e6
"""Joules."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Work of one kind."""

    core_hours: float = 0.0
    """Hours times cores that were set aside for it."""
    gpu_hours: float = 0.0
    """Hours times GPUs, or shares of one."""
    kwh: float | None = None
    """Energy by the counters of processors and GPUs; ``None``: none could be read."""
    metered_core_hours: float = 0.0
    """Core-hours of which the energy is known."""

    def __add__(self, other: Self) -> Self:
        known = [one for one in (self.kwh, other.kwh) if one is not None]
        return replace(
            self,
            core_hours=self.core_hours + other.core_hours,
            gpu_hours=self.gpu_hours + other.gpu_hours,
            kwh=sum(known) if known else None,
            metered_core_hours=self.metered_core_hours + other.metered_core_hours,
        )


@dataclass(frozen=True, slots=True)
class StudyCost:
    """The work of a study's trials, by what became of it."""

    complete: Spending = Spending()
    """Trials that reached their end."""
    stopped: Spending = Spending()
    """Trials that were stopped early."""
    failed: Spending = Spending()
    unfinished: Spending = Spending()
    """Trials that run, or wait to go on."""
    repeated: Spending = Spending()
    """What was lost with a worker or its state and done again, whatever became of the trial."""

    @property
    def total(self) -> Spending:
        """All of it."""
        whole = Spending()
        for field in fields(self):
            whole += getattr(self, field.name)
        return whole


_KINDS = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAILED: "failed",
}


def cost_of(trials: Iterable[TrialRecord], *, cpus: float, gpus: float) -> StudyCost:
    """The cost of trials.

    Args:
        trials: in any state.
        cpus: cores of a trial whose attempts are not recorded, as by an earlier version.
        gpus: GPUs of such a trial that ran on one.
    """
    found = {field.name: Spending() for field in fields(StudyCost)}
    for trial in trials:
        kind = _KINDS.get(trial.state, "unfinished")
        attempts = [
            Spending(
                core_hours=one.seconds * one.cpus / _HOUR,
                gpu_hours=one.seconds * one.gpus / _HOUR,
                kwh=None if one.joules is None else one.joules / _KWH,
                metered_core_hours=0.0 if one.joules is None else one.seconds * one.cpus / _HOUR,
            )
            for one in trial.attempts
        ]
        took = max(trial.seconds, sum(epoch.seconds for epoch in trial.epochs))
        last_cpus, last_gpus = cpus, gpus if (trial.device or "").startswith("cuda") else 0.0
        if trial.attempts:
            last_cpus, last_gpus = trial.attempts[-1].cpus, trial.attempts[-1].gpus
        else:
            attempts = [Spending(took * last_cpus / _HOUR, took * last_gpus / _HOUR)]
        for one in attempts:
            found[kind] += one
        lost = trial.lost_seconds / _HOUR
        found["repeated"] += Spending(lost * last_cpus, lost * last_gpus)
    return StudyCost(**found)
