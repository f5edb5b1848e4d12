"""A study as it runs: counted as it happens; a live table on a terminal, plain lines elsewhere.

Whatever is shown after an event must not take longer as the study grows: nothing here looks
through all trials again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.records.study import binding
from safr_study.records.warnings import study_warnings, trial_warnings
from safr_study.render.text_table import TextTable
from safr_study.text import about, duration, plural, size

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.status import Status

    from safr_study.features.search.plan import StudyPlan

Vector = tuple[float, ...]
FAILURES = 10
"""Failed trials below the live table: the latest."""
ROWS = 14
"""Trials in the live table: the latest."""
QUIET_SECONDS = 20.0
"""Plain lines about epochs come no oftener than this."""
PART_SECONDS = 5.0
"""Nor those about the parts of one piece of work."""


MUCH_UNKNOWN = 10.0
"""Percent of unknown words beyond which the plan says what to do."""


def plan_lines(plan: StudyPlan) -> list[str]:
    """Lines on what is about to be done, and what it will cost."""
    spec, left = plan.spec, plan.trials - plan.done
    baselines = ", ".join(baseline.name for baseline in spec.space.baselines)
    rungs = spec.scheduler.rungs(spec.train.epochs)
    lines = [
        f"Study {spec.name} on {plan.corpus}",
        f"{plural(plan.trials, 'trial')} of at most {plural(spec.train.epochs, 'epoch')} "
        f"{f'(first the baselines: {baselines})' if baselines else '(no baselines)'}, "
        f"objectives {' and '.join(o.label for o in spec.objectives)} on dev; "
        f"{plan.slots.sentence()}",
    ]
    lines.append(_words_line(plan))
    lines += [f"warning: {sentence}" for sentence in plan.warnings]
    if plan.done or plan.unfinished:
        lines.append(f"going on: {plan.done} done, {plan.unfinished} begun, {left} to finish")
    if rungs:
        listed = f"{'epoch' if len(rungs) == 1 else 'epochs'} {', '.join(map(str, rungs))}"
        lines.append(
            f"trials pause at {listed}; what promises the front most goes on, or begins"
            if spec.scheduler.name == "freeze-thaw"
            else f"trials that others beat in every objective are stopped at {listed}"
        )
    if spec.warm_start is not None:
        lines.append(f"the sampler begins with what study {spec.warm_start} found")
    if spec.time_budget is not None:
        lines.append(
            f"it ends after {duration(spec.time_budget)} at the latest; the same command with a "
            "longer --time-budget goes on with what is unfinished"
        )
    if spec.epoch_budget is not None:
        lines.append(f"no trial begins after {spec.epoch_budget:,} epochs in all")
    all_of_it = " for all of it" if spec.time_budget is not None else ""
    cost = plan.cost
    by = (
        "by some steps tried here" if cost.measured else "a guess until the first epoch is measured"
    )
    time = about(cost.seconds)
    if about(cost.least_seconds) != time:
        time = f"{about(cost.least_seconds)} with early stopping, {duration(cost.seconds)} without"
    lines.append(
        f"{time}{all_of_it} ({by}), {size(cost.disk_bytes)} of disk, "
        f"{size(cost.memory_bytes)} of memory for each trial at once"
    )
    if plan.cheaper:
        ways = ", ".join(f"{option} ({about(seconds)})" for option, seconds in plan.cheaper)
        lines.append(f"shorter, without early stopping: {ways}; or --time-budget 8h")
    return lines


def _words_line(plan: StudyPlan) -> str:
    """How texts are cut into words, and what of them is lost; with what to do where it is much."""
    data = plan.spec.corpus
    if data.encoder is not None:
        return f"words split at white space, each cut into pieces by the encoder {data.encoder}"
    cut = {
        "whitespace": "split at white space",
        "words": "with punctuation split off",
        "characters": "with punctuation and the signs of scripts without blanks split off",
    }
    case = "in lower case" if data.lowercase else "case kept"
    line = f"words {cut[data.tokenizer]}, {case}; {plan.unknown:.1f} % of those on dev are unknown"
    if plan.unknown <= MUCH_UNKNOWN:
        return line
    ways = [
        *(
            ["split punctuation off with --tokenizer words"]
            if data.tokenizer == "whitespace"
            else []
        ),
        *(["ignore case with --lowercase"] if not data.lowercase else []),
        "give more training texts",
    ]
    return f"{line}, which costs accuracy: {', or '.join(ways)}"


class Reporter:
    """Progress for people on standard error: of a study, of other runs, or none at all."""

    def __init__(self, console: Console | None, *, live: bool = False) -> None:
        """``live``: a study is a table that changes in place; without a console nothing is said."""
        self._console = console
        self._is_live = live
        self._live: Live | None = None
        self._status: Status | None = None
        self._began = time.monotonic()
        self._study: StudyProgress | None = None
        self._last = 0.0
        self._estimated = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last table on the screen, and nothing of what was being done."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str, *, rarely: bool = False) -> None:
        """A line; ``rarely``: unless one was said in the last `QUIET_SECONDS`."""
        if self._console is None or (rarely and time.monotonic() - self._last <= QUIET_SECONDS):
            return
        self._last = time.monotonic()
        self._console.print(line, soft_wrap=not self._is_live)

    def doing(self, what: str, *, lines: bool = False) -> None:
        """What is done now: on a terminal a line that changes in place until the block ends.

        Elsewhere nothing is said, or with ``lines``, for work of minutes, a line, unless there was
        one, or the work began, within `PART_SECONDS`.
        """
        if self._console is None or self._console.quiet:
            return
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status("")
                self._status.start()
            self._status.update(f"{what} ...")
        elif lines and time.monotonic() - max(self._last, self._began) > PART_SECONDS:
            self.say(what)

    def planned(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        """A study is about to begin, with these trials in its ledger."""
        if self._console is None:
            return
        self._study = StudyProgress(plan, trials)
        for line in plan_lines(plan):
            self.say(line)
        if self._is_live:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
            self._refresh()

    def trial_started(self, trial: TrialRecord) -> None:
        """A trial begins."""
        self._update(trial)

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """An epoch of a trial has ended: said where nothing was said for a while."""
        study = self._update(trial)
        if study is None or self._is_live:
            return
        if not self._estimated and (left := study.seconds_left()) is not None:
            self._estimated = True
            self.say(f"first epoch: {report.seconds:.1f} s; {about(left)} of training left")
        else:
            self.say(
                f"trial {trial.number} ({trial.label}): epoch {report.epoch} of at most "
                f"{study.plan.spec.train.epochs}, dev accuracy {report.dev_accuracy:.2f}",
                rarely=True,
            )

    def trial_paused(self, trial: TrialRecord) -> None:
        """A trial waits at a rung."""
        self._update(trial)

    def trial_ended(self, trial: TrialRecord) -> None:
        """A trial has ended: what came of it."""
        study = self._update(trial)
        if study is None or self._is_live:
            return
        self.say(f"trial {trial.number} ({trial.label}): {_outcome(trial, study)}")
        if trial.state is TrialState.COMPLETE:
            for sentence in trial_warnings(trial):
                self.say(f"  warning: {sentence}")
        self.say(f"  {study.summary()}")

    def _update(self, trial: TrialRecord) -> StudyProgress | None:
        if self._study is not None:
            self._study.update(trial)
            self._refresh()
        return self._study

    def _refresh(self) -> None:
        if self._live is not None and self._study is not None:
            self._live.update(_page(self._study), refresh=True)


class StudyProgress:
    """The trials of a running study, and what is to be said of them."""

    def __init__(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        """Begin with the trials that the ledger has already."""
        # It imports numpy, which a command's help does without.
        from safr_study.features.study_base.cost import TrialTimes

        self.plan = plan
        self.left = plan.trials - plan.done
        self.trials: dict[int, TrialRecord] = {}
        """All trials by number."""
        self.failed: dict[int, TrialRecord] = {}
        """Failed trials by number."""
        self.warnings: list[str] = []
        """Warnings about the complete trials, one sentence per kind."""
        self._states: Counter[TrialState] = Counter()
        self._running: dict[int, TrialRecord] = {}
        self._warned: list[TrialRecord] = []
        self._front: list[Vector] = []
        """Values of the feasible trials that no other dominates, all better when larger."""
        self._best: list[float | None] = [None] * len(plan.spec.objectives)
        self._infeasible = 0
        self._ended = 0
        self._began = time.monotonic()
        self._times = TrialTimes(plan.spec)
        self._constraints = plan.spec.space.constraints
        for trial in trials:
            self._take_in(trial)

    def update(self, trial: TrialRecord) -> None:
        """Take in a trial's new state."""
        self._take_in(trial)
        self._ended += trial.state is not TrialState.RUNNING

    def seconds_left(self) -> float | None:
        """Wall time to the end from the measured epochs; ``None`` before the first."""
        waiting = max(0, self.left - self._ended - len(self._running))
        at_once = self.plan.slots.max_concurrent
        return self._times.left(self._running.values(), waiting, at_once)

    def summary(self) -> str:
        """One line: trials, best of each objective, hypervolume, time left."""
        from safr_study.pareto import hypervolume

        states = self._states
        parts = [f"{states[TrialState.COMPLETE]} of {self.plan.trials} trials complete"]
        counted = (
            (self._infeasible, "of them not feasible"),
            (states[TrialState.PRUNED], "stopped early"),
            (states[TrialState.RUNNING] - len(self._running), "paused"),
            (states[TrialState.FAILED], "failed"),
        )
        parts += [f"{count} {what}" for count, what in counted if count]
        if self._front:
            objectives = self.plan.spec.objectives
            for objective, best in zip(objectives, self._best, strict=True):
                parts += [] if best is None else [f"best {objective.label} {best:.2f}"]
            reference = self._signed(self.plan.reference_point)
            parts.append(f"hypervolume {hypervolume(self._front, reference):.0f}")
        left = self.seconds_left()
        parts.append(f"{duration(time.monotonic() - self._began)} gone")
        if left:
            parts.append(f"{about(left)} left")
        return ", ".join(parts)

    def _take_in(self, trial: TrialRecord) -> None:
        before = self.trials.get(trial.number)
        self.trials[trial.number] = trial
        self._times.add(trial, before)
        if before is not None:
            self._states[before.state] -= 1
        self._states[trial.state] += 1
        if trial.state is TrialState.RUNNING and trial.paused_at is None:
            self._running[trial.number] = trial
        else:
            self._running.pop(trial.number, None)
        if trial.failure is not None:
            self.failed[trial.number] = trial
        new = before is None or before.state is not TrialState.COMPLETE
        if trial.state is TrialState.COMPLETE and new:
            self._complete(trial)

    def _complete(self, trial: TrialRecord) -> None:
        from safr_study.pareto import front_numbers

        if trial_warnings(trial):
            self._warned.append(trial)
            self.warnings = list(study_warnings(self._warned))
        if trial.values is None:
            return
        if any(miss > 0 for miss in binding(trial, self._constraints, trial.violations)):
            # Nobody is to take it for the best: the ranking leaves it out.
            self._infeasible += 1
            return
        points = [*self._front, self._signed(trial.values)]
        fronts = front_numbers(points)
        self._front = [point for point, front in zip(points, fronts, strict=True) if front == 0]
        for axis, objective in enumerate(self.plan.spec.objectives):
            # The SRS of a collapsed prediction is no best.
            if objective.name == "accuracy" or not trial.saturated:
                pick = max if objective.maximise else min
                value, best = trial.values[axis], self._best[axis]
                self._best[axis] = value if best is None else pick(best, value)

    def _signed(self, values: Sequence[float]) -> Vector:
        """All better when larger."""
        signs = (objective.sign for objective in self.plan.spec.objectives)
        return tuple(sign * value for sign, value in zip(signs, values, strict=True))


def _page(study: StudyProgress) -> Group:
    from rich.console import Group
    from rich.text import Text

    from safr_study.render.terminal import TerminalTable

    objectives = [f">{objective.label}" for objective in study.plan.spec.objectives]
    columns = (">trial", "setting", ">epoch", ">last dev", *objectives, "state")
    rows = []
    for number in sorted(study.trials)[-ROWS:]:
        trial = study.trials[number]
        last = trial.epochs[-1] if trial.epochs else None
        values = trial.values or [None] * len(objectives)
        rows.append(
            (
                str(trial.number),
                trial.label,
                f"{len(trial.epochs)}/{study.plan.spec.train.epochs}",
                "" if last is None else f"{last.dev_accuracy:.2f}",
                *("" if value is None else f"{value:.2f}" for value in values),
                _state(trial),
            )
        )
    failures = [
        Text(f"trial {trial.number} failed: {trial.failure}", style="red")
        for trial in list(study.failed.values())[-FAILURES:]
    ]
    warnings = [Text(sentence, style="yellow") for sentence in study.warnings]
    return Group(
        TerminalTable(TextTable("", columns, rows)), *failures, *warnings, Text(study.summary())
    )


def _state(trial: TrialRecord) -> str:
    if trial.state is TrialState.PRUNED:
        return f"stopped at {trial.stopped_at}"
    if trial.paused_at is not None:
        return f"paused at {trial.paused_at}"
    return "saturated" if trial.saturated else trial.state.value


def _outcome(trial: TrialRecord, study: StudyProgress) -> str:
    if trial.control_values is not None:
        return (
            f"was to be stopped at epoch {trial.stopped_at}, and ran on to measure what that costs"
        )
    if trial.state is TrialState.PRUNED:
        why = "others are better in every objective"
        if study.plan.spec.scheduler.name == "freeze-thaw":
            why = "it is not expected to reach the front"
        return f"stopped at epoch {trial.stopped_at}: {why}"
    if trial.values is None:
        return f"{trial.state.value}: {trial.failure}"
    pairs = zip(study.plan.spec.objectives, trial.values, strict=True)
    saturated = " (saturated)" if trial.saturated else ""
    misses = binding(trial, study.plan.spec.space.constraints, trial.violations)
    missed = " (misses a constraint: not ranked)" if any(by > 0 for by in misses) else ""
    return ", ".join(f"{o.label} {value:.2f}" for o, value in pairs) + saturated + missed
