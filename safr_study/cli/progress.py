"""A study as it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from safr_study.cli.board import Board
from safr_study.cli.output import FAILURES, duration, size, table
from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.records.warnings import trial_warnings

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

    from safr_study.features.search.search import StudyPlan

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
        f"{_count(plan.trials, 'trial')} of at most {_count(plan.epochs, 'epoch')} "
        f"{f'(first the baselines: {baselines})' if baselines else '(no baselines)'}, "
        f"objectives {' and '.join(o.label for o in plan.objectives)} on dev; "
        f"{plan.slots.sentence()}",
    ]
    if plan.done or plan.unfinished:
        lines.append(f"going on: {plan.done} done, {plan.unfinished} begun, {left} to finish")
    if plan.rungs:
        rungs = ", ".join(str(rung) for rung in plan.rungs)
        epochs = "epoch" if len(plan.rungs) == 1 else "epochs"
        lines.append(f"trials that others beat in every objective are stopped at {epochs} {rungs}")
    if plan.warm_start is not None:
        lines.append(f"the sampler begins with what study {plan.warm_start} found")
    if plan.time_budget is not None:
        lines.append(
            f"it ends after {duration(plan.time_budget)} at the latest; the same command with a "
            "longer --time-budget goes on with what is unfinished"
        )
    if plan.epoch_budget is not None:
        lines.append(f"no trial begins after {plan.epoch_budget:,} epochs in all")
    all_of_it = " for all of it" if plan.time_budget is not None else ""
    lines.append(
        f"about {duration(plan.cost.seconds)}{all_of_it} (a guess until the first epoch is "
        f"measured; early stopping may make it less), {size(plan.cost.disk_bytes)} of disk"
    )
    return lines


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


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
    for number in sorted(board.trials)[-ROWS:]:
        trial = board.trials[number]
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
        for trial in list(board.failed.values())[-FAILURES:]
    ]
    warnings = [Text(sentence, style="yellow") for sentence in board.warnings]
    return Group(made, *failures, *warnings, Text(board.summary()))


def _state(trial: TrialRecord) -> str:
    if trial.state is TrialState.PRUNED:
        return f"stopped at {trial.stopped_at}"
    return "saturated" if trial.saturated else trial.state.value


def _outcome(trial: TrialRecord, board: Board) -> str:
    if trial.control_values is not None:
        return (
            f"was to be stopped at epoch {trial.stopped_at}, and ran on to measure what that costs"
        )
    if trial.state is TrialState.PRUNED:
        return f"stopped at epoch {trial.stopped_at}: others are better in every objective"
    if trial.values is None:
        return f"{trial.state.value}: {trial.failure}"
    pairs = zip(board.plan.objectives, trial.values, strict=True)
    saturated = " (saturated)" if trial.saturated else ""
    missed = "" if trial.feasible else " (misses a constraint: not ranked)"
    return ", ".join(f"{o.label} {value:.2f}" for o, value in pairs) + saturated + missed
