"""What has happened in a study so far, counted as it happens.

Whatever is shown after each event must not take longer as the study grows: nothing here looks
through all trials again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from safr_study.cli.output import duration
from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.records.warnings import study_warnings, trial_warnings

if TYPE_CHECKING:
    from safr_study.features.search.search import StudyPlan

Vector = tuple[float, ...]


class Board:
    """The trials of a running study, and what is to be said of them."""

    def __init__(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        """Begin with the trials that the ledger has already."""
        self.plan = plan
        self.left = plan.trials - plan.done
        self.trials: dict[int, TrialRecord] = {}
        """By number."""
        self.failed: dict[int, TrialRecord] = {}
        """Those of them that failed."""
        self.warnings: list[str] = []
        """Of the complete trials, by kind."""
        self._states: Counter[TrialState] = Counter()
        self._running: dict[int, TrialRecord] = {}
        self._warned: list[TrialRecord] = []
        self._front: list[Vector] = []
        """Values of the feasible trials that no other dominates, all better when larger."""
        self._best: list[float | None] = [None] * len(plan.objectives)
        self._infeasible = 0
        self._ended = 0
        self._began = time.monotonic()
        self._epochs_timed, self._epoch_seconds = 0, 0.0
        self._finished, self._epochs_of_finished = 0, 0
        for trial in trials:
            self._take_in(trial)

    def update(self, trial: TrialRecord, report: EpochReport | None = None) -> None:
        """Take in a trial's new state."""
        self._take_in(trial)
        if report is not None:
            self._epochs_timed += 1
            self._epoch_seconds += report.seconds
        if trial.state is not TrialState.RUNNING:
            self._ended += 1
            if trial.counts:
                self._finished += 1
                self._epochs_of_finished += len(trial.epochs)

    def seconds_left(self) -> float | None:
        """Wall time to the end from the measured epochs; ``None`` before the first."""
        if not self._epochs_timed:
            return None
        per_epoch = self._epoch_seconds / self._epochs_timed
        whole = self.plan.epochs
        expected = self._epochs_of_finished / self._finished if self._finished else whole
        begun = sum(max(0.0, expected - len(t.epochs)) for t in self._running.values())
        waiting = max(0, self.left - self._ended - len(self._running))
        return per_epoch * (begun + waiting * expected) / self.plan.slots.max_concurrent

    def summary(self) -> str:
        """One line: trials, best of each objective, hypervolume, time left."""
        from safr_study.pareto import hypervolume

        states = self._states
        parts = [f"{states[TrialState.COMPLETE]} of {self.plan.trials} trials complete"]
        if self._infeasible:
            parts.append(f"{self._infeasible} of them not feasible")
        if states[TrialState.PRUNED]:
            parts.append(f"{states[TrialState.PRUNED]} stopped early")
        if states[TrialState.FAILED]:
            parts.append(f"{states[TrialState.FAILED]} failed")
        if self._front:
            objectives = self.plan.objectives
            for objective, best in zip(objectives, self._best, strict=True):
                parts += [] if best is None else [f"best {objective.label} {best:.2f}"]
            reference = self._signed(self.plan.reference_point)
            parts.append(f"hypervolume {hypervolume(self._front, reference):.0f}")
        left = self.seconds_left()
        parts.append(f"{duration(time.monotonic() - self._began)} gone")
        if left:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)

    def _take_in(self, trial: TrialRecord) -> None:
        before = self.trials.get(trial.number)
        self.trials[trial.number] = trial
        if before is not None:
            self._states[before.state] -= 1
        self._states[trial.state] += 1
        if trial.state is TrialState.RUNNING:
            self._running[trial.number] = trial
        else:
            self._running.pop(trial.number, None)
        if trial.failure is not None:
            self.failed[trial.number] = trial
        new = before is None or before.state is not TrialState.COMPLETE
        if trial.state is TrialState.COMPLETE and new:
            self._complete(trial)

    def _complete(self, trial: TrialRecord) -> None:
        if trial_warnings(trial):
            self._warned.append(trial)
            self.warnings = list(study_warnings(self._warned))
        if trial.values is None:
            return
        if not trial.feasible:
            # Nobody is to take it for the best: the ranking leaves it out.
            self._infeasible += 1
            return
        self._rank(self._signed(trial.values))
        for axis, objective in enumerate(self.plan.objectives):
            # The SRS of a collapsed prediction is no best.
            if objective.name == "accuracy" or not trial.saturated:
                pick = max if objective.maximise else min
                value, best = trial.values[axis], self._best[axis]
                self._best[axis] = value if best is None else pick(best, value)

    def _rank(self, values: Vector) -> None:
        from safr_study.pareto import front_numbers

        points = [*self._front, values]
        fronts = front_numbers(points)
        self._front = [point for point, front in zip(points, fronts, strict=True) if front == 0]

    def _signed(self, values: Sequence[float]) -> Vector:
        """All better when larger."""
        signs = (objective.sign for objective in self.plan.objectives)
        return tuple(sign * value for sign, value in zip(signs, values, strict=True))
