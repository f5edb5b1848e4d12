from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_scores import plain_scores
from rich.console import Console
from stored_study import study_spec

from safr_study.cli.progress import Reporter, StudyProgress, plan_lines
from safr_study.cluster.slots import TrialSlots
from safr_study.features.search.plan import StudyPlan
from safr_study.features.study_base.cost import Cost
from safr_study.pareto import hypervolume
from safr_study.records import EpochReport, LossTerms, TrialRecord, TrialState
from safr_study.records.warnings import study_warnings
from safr_study.settings import TrainConfig

PLAN = StudyPlan(
    spec=study_spec("s1", trials=4, train=TrainConfig(epochs=10), scheduler={"name": "none"}),
    corpus="planted: 2,000 train / 500 dev",
    unknown=0.0,
    trials=4,
    done=0,
    unfinished=0,
    reference_point=(50.0, 0.0),
    slots=TrialSlots(1.0, 0.0, 2, 2.0, 0.0),
    cost=Cost(
        seconds=600.0,
        disk_bytes=14_000_000,
        parameters=1,
        memory_bytes=700_000_000,
        least_seconds=300.0,
    ),
)
RUNNING = TrialRecord(
    number=0,
    state=TrialState.RUNNING,
    parameters={"vmask": True, "lambda_imp": 0.1, "lambda_inter": 0.0},
    seed=0,
)


def report(epoch: int, seconds: float) -> EpochReport:
    return EpochReport(
        epoch=epoch,
        train=LossTerms(0.7, 0.7, None, None),
        dev_accuracy=60.0 + epoch,
        dev_loss=0.6,
        gate_openness=0.5,
        mean_norm=16.0,
        best=True,
        seconds=seconds,
    )


def complete(number: int, values: tuple[float, float], epochs: int) -> TrialRecord:
    return replace(
        RUNNING,
        number=number,
        state=TrialState.COMPLETE,
        values=values,
        epochs=tuple(report(epoch, 2.0) for epoch in range(1, epochs + 1)),
    )


def test_the_time_left_follows_the_measured_epochs() -> None:
    study = StudyProgress(PLAN, [])
    assert study.seconds_left() is None
    study.update(RUNNING)
    one = replace(RUNNING, epochs=(report(1, 2.0),))
    study.update(one)
    # 9 epochs of this trial and 3 whole trials of 10, at 2 s, two at once.
    assert study.seconds_left() == pytest.approx(2.0 * (9 + 30) / 2)
    # A trial that stopped after 4 epochs: the others are expected to do the same.
    study.update(complete(0, (80.0, 10.0), 4))
    assert study.seconds_left() == pytest.approx(2.0 * (3 * 4) / 2)


def test_the_summary_has_the_best_values_and_the_hypervolume() -> None:
    study = StudyProgress(PLAN, [])
    study.update(complete(0, (80.0, 10.0), 2))
    study.update(complete(1, (70.0, 25.0), 2))
    study.update(replace(RUNNING, number=2, state=TrialState.FAILED, failure="a sentence"))
    summary = study.summary()
    # 30 * 10 + 20 * 15: two rectangles above (50, 0).
    for part in ("2 of 4 trials", "1 failed", "best accuracy 80.00", "best SRS(30) 25.00"):
        assert part in summary
    assert "hypervolume 600" in summary


def test_the_plan_says_cost_baselines_and_resources() -> None:
    said = "\n".join(plan_lines(PLAN))
    for part in ("s1", "4 trials", "no-vmask, vmask-only", "2 trials at once", "10 min", "14 MB"):
        assert part in said
    assert "going on" not in said
    assert "going on: 1 done, 2 begun, 3 to finish" in "\n".join(
        plan_lines(replace(PLAN, done=1, unfinished=2))
    )


def shown(*, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80, no_color=True)
    with Reporter(console, live=terminal) as progress:
        progress.planned(PLAN, [])
        progress.trial_started(RUNNING)
        progress.epoch_ended(replace(RUNNING, epochs=(report(1, 2.0),)), report(1, 2.0))
        progress.trial_ended(complete(0, (80.0, 10.0), 2))
        progress.trial_ended(
            replace(RUNNING, number=1, state=TrialState.FAILED, failure="the loss left the reals")
        )
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_trials_front_and_failures(terminal: bool) -> None:
    text = shown(terminal=terminal)
    for part in ("imp=0.1 inter=0", "80.00", "failed: the loss left", "hypervolume 300"):
        assert part in text


def test_plain_lines_have_no_control_characters() -> None:
    assert "\x1b" not in shown(terminal=False)
    assert "first epoch: 2.0 s" in shown(terminal=False)


@st.composite
def histories(draw: st.DrawFn) -> list[TrialRecord]:
    """States of trials in the order in which a driver reports them."""
    told = []
    for number in range(draw(st.integers(0, 8))):
        told.append(replace(RUNNING, number=number))
        values = draw(st.tuples(st.integers(45, 60), st.integers(-3, 9)))
        end = draw(st.sampled_from(["complete", "saturated", "stopped", "failed", "running"]))
        if end in ("complete", "saturated"):
            made = complete(number, (float(values[0]), float(values[1])), draw(st.integers(1, 3)))
            scores = plain_scores(saturated=True) if end == "saturated" else None
            told.append(replace(made, scores=scores))
        elif end == "stopped":
            told.append(replace(RUNNING, number=number, state=TrialState.PRUNED, stopped_at=2))
        elif end == "failed":
            told.append(replace(RUNNING, number=number, state=TrialState.FAILED, failure="no"))
    return told


@settings(max_examples=60)
@given(told=histories(), known=st.integers(0, 8))
def test_what_is_counted_as_it_happens_is_what_there_is(
    told: list[TrialRecord], known: int
) -> None:
    before = list({trial.number: trial for trial in told[:known]}.values())
    study = StudyProgress(PLAN, before)
    for trial in told[known:]:
        study.update(trial)
    trials = list({trial.number: trial for trial in told}.values())
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    summary = study.summary()
    assert summary.startswith(f"{len(done)} of 4 trials complete")
    stopped = sum(trial.state is TrialState.PRUNED for trial in trials)
    assert (f" {stopped} stopped early" in summary) == (stopped > 0)
    points = [trial.values for trial in done if trial.values is not None]
    if points:
        volume = hypervolume(points, PLAN.reference_point)
        assert f"hypervolume {volume:.0f}," in summary
        assert f"best accuracy {max(point[0] for point in points):.2f}," in summary
    sound = [t.values[1] for t in done if t.values is not None and not t.saturated]
    if sound:
        assert f"best SRS(30) {max(sound):.2f}," in summary
    else:
        assert "best SRS" not in summary
    assert sorted(study.failed) == [t.number for t in trials if t.failure is not None]
    assert study.warnings == list(study_warnings(done))


def test_the_plan_says_what_may_end_it_early_and_from_what_it_learns() -> None:
    plain = " ".join(plan_lines(PLAN))
    assert "at the latest" not in plain
    limits = {"time_budget": 7200.0, "epoch_budget": 1500, "warm_start": "s0"}
    lines = plan_lines(replace(PLAN, spec=PLAN.spec.model_copy(update=limits)))
    assert "the sampler begins with what study s0 found" in lines
    assert any(line.startswith("it ends after 2 h") for line in lines)
    assert "no trial begins after 1,500 epochs in all" in lines


def test_a_trial_that_misses_a_constraint_is_no_best_and_not_on_the_front() -> None:
    study = StudyProgress(PLAN, [])
    study.update(complete(0, (80.0, 5.0), 3))
    study.update(replace(complete(1, (99.0, 50.0), 3), violations=(4.0,)))
    said = study.summary()
    assert "2 of 4 trials complete, 1 of them not feasible" in said
    assert "best accuracy 80.00" in said
    assert "hypervolume 150" in said
    stream = io.StringIO()
    progress = Reporter(Console(file=stream, width=200))
    progress.planned(PLAN, [])
    progress.trial_ended(replace(complete(1, (99.0, 50.0), 3), violations=(4.0,)))
    assert "SRS(30) 50.00 (misses a constraint: not ranked)" in stream.getvalue()


def test_what_is_done_changes_in_place_on_a_terminal_and_leaves_nothing() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, color_system=None)
    with Reporter(console) as progress:
        progress.doing("loading m")
        progress.doing("leaving out one word after the other")
        assert "loading m ..." not in file.getvalue().splitlines()
    shown = file.getvalue()
    assert "leaving out one word after the other ..." in shown
    # The last thing is that the line is erased.
    assert shown.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))


def test_what_is_done_is_a_line_elsewhere_once_nothing_was_said_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("safr_study.cli.progress.time.monotonic", lambda: now[0])
    file = io.StringIO()
    with Reporter(Console(file=file, width=80)) as progress:
        for what, later in (("one", 1.0), ("two", 5.0), ("three", 3.0), ("four", 3.0)):
            progress.doing(what, lines=True)
            progress.doing("what else")
            now[0] += later
    # "one" and "two" come at 0 and 1 s, "three" at 6 s, "four" 3 s after it.
    assert file.getvalue() == "three\n"


def test_a_tiny_study_is_not_said_to_take_no_time() -> None:
    file = io.StringIO()
    with Reporter(Console(file=file, width=200)) as progress:
        progress.planned(replace(PLAN, cost=replace(PLAN.cost, seconds=0.3, least_seconds=0.3)), [])
        progress.epoch_ended(replace(RUNNING, epochs=(report(1, 0.004),)), report(1, 0.004))
    shown = file.getvalue()
    assert "under a second (a guess until" in shown
    assert "; under a second of training left" in shown
    assert "about 0 s" not in shown
