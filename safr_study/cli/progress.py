"""A study as it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from safr_study.cli.output import duration, size, table
from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.records.warnings import study_warnings, trial_warnings

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

    from safr_study.workflows.search import StudyPlan

ROWS = 14
"""Trials in the live table: the latest."""
QUIET_SECONDS = 20.0
"""Plain lines about epochs come no oftener than this."""


def plan_lines(plan: StudyPlan) -> list[str]:
    """What is about to be done, and what it will cost."""
    left = plan.trials - plan.done
    baselines = ", ".join(plan.baselines)
    lines = [
        f"Study {plan.name} on {plan.corpus}",
        f"{plan.trials} trials of at most {plan.epochs} epochs "
        f"{f'(first the baselines: {baselines})' if baselines else '(no baselines)'}, "
        f"objectives {' and '.join(o.label for o in plan.objectives)} on dev; "
        f"{plan.allotment.sentence()}",
    ]
    if plan.done or plan.unfinished:
        lines.append(f"going on: {plan.done} done, {plan.unfinished} begun, {left} to finish")
    if plan.rungs:
        rungs = ", ".join(str(rung) for rung in plan.rungs)
        lines.append(f"trials that others beat in every objective are stopped at epochs {rungs}")
    lines.append(
        f"about {duration(plan.cost.seconds)} (a guess until the first epoch is measured; early "
        f"stopping may make it less), {size(plan.cost.disk_bytes)} of disk"
    )
    return lines


class Board:
    """What has happened so far, counted."""

    def __init__(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        self.plan = plan
        self.trials = {trial.number: trial for trial in trials}
        self.left = plan.trials - plan.done
        self._ended = 0
        self._epochs_run = 0
        self._began = time.monotonic()
        self._epoch_seconds: list[float] = []
        self._epochs_of_finished: list[int] = []

    def update(self, trial: TrialRecord, report: EpochReport | None = None) -> None:
        """Take in a trial's new state."""
        self.trials[trial.number] = trial
        if report is not None:
            self._epoch_seconds.append(report.seconds)
        if trial.state is not TrialState.RUNNING:
            self._ended += 1
            if trial.counts:
                self._epochs_of_finished.append(len(trial.epochs))

    @property
    def complete(self) -> list[TrialRecord]:
        """Trials with objectives."""
        return [t for t in self.trials.values() if t.state is TrialState.COMPLETE]

    def seconds_left(self) -> float | None:
        """Wall time to the end from the measured epochs; ``None`` before the first."""
        if not self._epoch_seconds:
            return None
        per_epoch = sum(self._epoch_seconds) / len(self._epoch_seconds)
        finished = self._epochs_of_finished
        expected = sum(finished) / len(finished) if finished else self.plan.epochs
        running = [t for t in self.trials.values() if t.state is TrialState.RUNNING]
        begun = sum(max(0.0, expected - len(t.epochs)) for t in running)
        waiting = max(0, self.left - self._ended - len(running))
        return per_epoch * (begun + waiting * expected) / self.plan.allotment.max_concurrent

    def summary(self) -> str:
        """One line: trials, best of each objective, hypervolume, time left."""
        from safr_study.pareto import hypervolume

        done = self.complete
        parts = [f"{len(done)} of {self.plan.trials} trials complete"]
        failed = sum(t.state is TrialState.FAILED for t in self.trials.values())
        stopped = sum(t.state is TrialState.PRUNED for t in self.trials.values())
        if stopped:
            parts.append(f"{stopped} stopped early")
        if failed:
            parts.append(f"{failed} failed")
        values = [t.values for t in done if t.values is not None]
        reference = self.plan.reference_point
        # The SRS of a collapsed prediction is no best.
        sound = [t.values for t in done if t.values is not None and not t.saturated]
        if values:
            objectives = self.plan.objectives
            for axis, objective in enumerate(objectives):
                among = values if objective.name == "accuracy" else sound
                pick = max if objective.maximise else min
                best = pick((v[axis] for v in among), default=None)
                parts += [] if best is None else [f"best {objective.label} {best:.2f}"]
            signs = [objective.sign for objective in objectives]
            front = [_times(signs, v) for v in values]
            parts.append(f"hypervolume {hypervolume(front, _times(signs, reference)):.0f}")
        left = self.seconds_left()
        parts.append(f"{duration(time.monotonic() - self._began)} gone")
        if left:
            parts.append(f"about {duration(left)} left")
        return ", ".join(parts)


class SilentProgress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """The study is over."""

    def planned(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        """The study is about to begin."""

    def trial_started(self, trial: TrialRecord) -> None:
        """A trial begins."""

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """An epoch is over."""

    def trial_ended(self, trial: TrialRecord) -> None:
        """A trial is over."""


class PlainProgress(SilentProgress):
    """A line for each trial, and now and then one for an epoch."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board: Board | None = None
        self._last = 0.0
        self._estimated = False

    def planned(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        """Say what is about to be done."""
        self._board = Board(plan, trials)
        for line in plan_lines(plan):
            self._say(line)

    def trial_started(self, trial: TrialRecord) -> None:
        """Count it."""
        self._update(trial)

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """Say how far it is, if nothing was said for a while."""
        board = self._update(trial, report)
        if board is None:
            return
        left = board.seconds_left()
        if not self._estimated and left is not None:
            self._estimated = True
            self._say(f"first epoch: {report.seconds:.1f} s; about {duration(left)} in all")
        elif time.monotonic() - self._last > QUIET_SECONDS:
            self._say(
                f"trial {trial.number} ({trial.label}): epoch {report.epoch} of at most "
                f"{board.plan.epochs}, dev accuracy {report.dev_accuracy:.2f}"
            )

    def trial_ended(self, trial: TrialRecord) -> None:
        """Say what came of it."""
        board = self._update(trial)
        if board is None:
            return
        self._say(f"trial {trial.number} ({trial.label}): {_outcome(trial, board)}")
        if trial.state is TrialState.COMPLETE:
            for sentence in trial_warnings(trial):
                self._say(f"  warning: {sentence}")
        self._say(f"  {board.summary()}")

    def _update(self, trial: TrialRecord, report: EpochReport | None = None) -> Board | None:
        if self._board is not None:
            self._board.update(trial, report)
        return self._board

    def _say(self, line: str) -> None:
        self._last = time.monotonic()
        self._console.print(line, soft_wrap=True)


class LiveProgress(SilentProgress):
    """A table that changes in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board: Board | None = None
        self._live: Live | None = None

    def close(self) -> None:
        """Leave the last table on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def planned(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        """Say what is about to be done, and begin the table."""
        from rich.live import Live

        self._board = Board(plan, trials)
        for line in plan_lines(plan):
            self._console.print(line)
        self._live = Live(console=self._console, auto_refresh=False)
        self._live.start()
        self._refresh()

    def trial_started(self, trial: TrialRecord) -> None:
        """Add its row."""
        self._update(trial)

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """Change its row."""
        self._update(trial, report)

    def trial_ended(self, trial: TrialRecord) -> None:
        """Close its row."""
        self._update(trial)

    def _update(self, trial: TrialRecord, report: EpochReport | None = None) -> None:
        if self._board is not None:
            self._board.update(trial, report)
            self._refresh()

    def _refresh(self) -> None:
        if self._live is not None and self._board is not None:
            self._live.update(_page(self._board), refresh=True)


def _page(board: Board) -> Group:
    from rich.console import Group
    from rich.text import Text

    objectives = [f">{objective.label}" for objective in board.plan.objectives]
    made = table([">trial", "setting", ">epoch", ">last dev", *objectives, "state"])
    for trial in sorted(board.trials.values(), key=lambda t: t.number)[-ROWS:]:
        last = trial.epochs[-1] if trial.epochs else None
        values = trial.values or [None] * len(objectives)
        made.add_row(
            str(trial.number),
            trial.label,
            f"{len(trial.epochs)}/{board.plan.epochs}",
            "" if last is None else f"{last.dev_accuracy:.2f}",
            *("" if value is None else f"{value:.2f}" for value in values),
            _state(trial),
        )
    failures = [
        Text(f"trial {trial.number} failed: {trial.failure}", style="red")
        for trial in board.trials.values()
        if trial.failure is not None
    ]
    warnings = [Text(sentence, style="yellow") for sentence in study_warnings(board.complete)]
    return Group(made, *failures, *warnings, Text(board.summary()))


def _state(trial: TrialRecord) -> str:
    if trial.state is TrialState.PRUNED:
        return f"stopped at {trial.stopped_at}"
    return "saturated" if trial.saturated else trial.state.value


def _outcome(trial: TrialRecord, board: Board) -> str:
    if trial.run_on_values is not None:
        return (
            f"was to be stopped at epoch {trial.stopped_at}, and ran on to measure what that costs"
        )
    if trial.state is TrialState.PRUNED:
        return f"stopped at epoch {trial.stopped_at}: others are better in every objective"
    if trial.values is None:
        return f"{trial.state.value}: {trial.failure}"
    pairs = zip(board.plan.objectives, trial.values, strict=True)
    saturated = " (saturated)" if trial.saturated else ""
    return ", ".join(f"{o.label} {value:.2f}" for o, value in pairs) + saturated


def _times(signs: Sequence[float], values: Sequence[float]) -> list[float]:
    """Values that are all better when larger."""
    return [sign * value for sign, value in zip(signs, values, strict=True)]
