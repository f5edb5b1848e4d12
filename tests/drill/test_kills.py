"""The fault drill: ``kill -9`` at random moments, and the same command until the study is done.

``SAFR_DRILL_KILLS`` (20) kills of the driver and as many of trial processes, drawn from
``SAFR_DRILL_SEED`` (0). A study that ends before its kills are used up is checked, and the next
one begins.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from counts import Counts
from processes import named, wait_for_end
from session import STUDY, Orphans, Saved, Session
from traces import is_trial, ledger, numbers, pickles, runs, saved_epochs, trials, writes

from safr_study.checkpoint.manifest import verify_model
from safr_study.features.study_base.results import rank_ledger
from safr_study.home import open_home
from safr_study.records import TrialRecord, TrialState
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import open_store

KILLS = int(os.environ.get("SAFR_DRILL_KILLS", "20"))
SEED = int(os.environ.get("SAFR_DRILL_SEED", "0"))
EPOCHS = 3
MOMENTS = {"starting": 0.3, "trials": 0.5, "closing": 0.2}
"""How often a driver is killed when."""
TRIAL_KILL_SECONDS = 4.0
"""On average between two kills of trial processes."""
ORPHAN_SECONDS = 90.0
"""Ray's agents give their head a minute to come back."""
HEAD_SECONDS = 240.0
"""Patience with a driver whose Ray is dead."""

pytestmark = [
    pytest.mark.drill,
    pytest.mark.timeout(3 * 3600),
    pytest.mark.skipif(
        not Path("/proc/self/stat").exists(), reason="finds processes as Linux does"
    ),
]


@dataclass(frozen=True)
class Kind:
    """Studies that are alike."""

    name: str
    options: tuple[str, ...]
    trials: int
    share: int
    """Of the kills, in parts of all kinds' shares."""

    @property
    def command(self) -> list[str]:
        """As a user gives it."""
        return [
            *("search", "--dataset", "planted", "--study", STUDY, "--space", "smoke"),
            *("--trials", str(self.trials), "--epochs", str(EPOCHS), "--max-concurrent", "2"),
            *self.options,
        ]


KINDS = (
    # Six points, of which one is a baseline, and the two baselines.
    Kind("grid", ("--sampler", "grid", "--scheduler", "none"), 7, 3),
    Kind("random", ("--sampler", "random", "--scheduler", "none"), 10, 4),
    Kind("random, mo-asha", ("--sampler", "random", "--scheduler", "mo-asha"), 10, 3),
)


@dataclass(frozen=True)
class Reference:
    """A study of a kind that nobody disturbed."""

    trials: list[TrialRecord]
    hypervolume: float
    models: int
    first_trial: float
    """Seconds from the start to the first trial."""
    training: float
    """Seconds from there to the end of the last trial."""
    closing: float
    """Seconds from there to the end."""


def undisturbed(kind: Kind, folder: Path) -> Reference:
    """Run a study through."""
    folder.mkdir()
    session = Session(folder / "home", kind.command)
    while session.running(kind.trials):
        pass
    assert session.process.returncode == 0, said(folder)
    assert session.seen_trials is not None
    ended = session.elapsed
    done = session.all_done or ended
    found = ledger(session.home, STUDY)
    assert found is not None
    result = rank_ledger(found)
    return Reference(
        trials=found.trials(),
        hypervolume=result.hypervolume,
        models=len(result.front),
        first_trial=session.seen_trials,
        training=done - session.seen_trials,
        closing=ended - done,
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kills_at_random_moments(kind: Kind, tmp_path: Path, table: list[Counts]) -> None:
    rng = random.Random(f"{SEED} {kind.name}")
    reference = undisturbed(kind, tmp_path / "undisturbed")
    counts = Counts(kind.name)
    table.append(counts)
    driver_kills, trial_kills = share_of(kind), share_of(kind)
    orphans: list[Orphans] = []
    while driver_kills or trial_kills:
        folder = tmp_path / f"study-{counts.studies}"
        folder.mkdir()
        saved: list[Saved] = []
        code = None
        while code != 0:
            session = Session(folder / "home", kind.command, orphans, saved)
            counts.starts += 1
            struck = disturb(session, kind, reference, rng, counts, driver_kills, trial_kills)
            driver_kills -= struck[0]
            trial_kills -= struck[1]
            code = session.process.returncode
            assert struck[0] or code == 0, f"exit code {code}: {said(folder)}"
        counts.studies += 1
        check(kind, folder / "home", reference, saved, counts)
    assert wait_for_end([one for orphan in orphans for one in orphan.left], ORPHAN_SECONDS) == []
    counts.orphan_seconds = max((orphan.seconds for orphan in orphans), default=0.0)
    assert KILLS < 10 or counts.resumed > 0, "no trial ever went on from a checkpoint"


def share_of(kind: Kind) -> int:
    """How many of the kills are this kind's; all together are ``KILLS``."""
    parts = sum(other.share for other in KINDS)
    before = sum(other.share for other in KINDS[: KINDS.index(kind)])
    return round(KILLS * (before + kind.share) / parts) - round(KILLS * before / parts)


def disturb(
    session: Session,
    kind: Kind,
    reference: Reference,
    rng: random.Random,
    counts: Counts,
    driver_kills: int,
    trial_kills: int,
) -> tuple[int, int]:
    """Watch one start of the command to its end, or to the kill of its driver; the kills."""
    (when,) = rng.choices(list(MOMENTS), list(MOMENTS.values()))
    wait = (
        rng.random()
        * {
            "starting": reference.first_trial,
            "trials": reference.training / 2,
            "closing": reference.closing,
        }[when]
    )
    struck = 0
    next_strike: float | None = None
    while session.running(kind.trials):
        since = {"starting": 0.0, "trials": session.seen_trials, "closing": session.all_done}[when]
        due = since is not None and session.elapsed >= since + wait
        phase = session.phase
        if driver_kills and due and session.kill_driver():
            counts.driver_kills[phase] += 1
            return 1, struck
        if session.phase != "trials" or struck >= trial_kills:
            continue
        if next_strike is None:
            next_strike = session.elapsed + rng.expovariate(1 / TRIAL_KILL_SECONDS)
        if session.elapsed >= next_strike:
            if session.kill_trial(rng.random()):
                struck += 1
                counts.trial_kills += 1
            next_strike = session.elapsed + rng.expovariate(1 / TRIAL_KILL_SECONDS)
    return 0, struck


def check(
    kind: Kind, home: Path, reference: Reference, saved: Sequence[Saved], counts: Counts
) -> None:
    """A study that was killed again and again is the one that was not."""
    found = trials(home, STUDY)
    counts.asked += kind.trials
    counts.complete += sum(trial.state is TrialState.COMPLETE for trial in found)
    counts.stopped += sum(trial.state is TrialState.PRUNED for trial in found)
    counts.failed += sum(trial.state is TrialState.FAILED for trial in found)
    check_runs(home, found, counts)
    check_files(home, found, counts)
    check_epochs(home, found, saved, counts)
    assert len(found) == kind.trials
    assert all(trial.counts for trial in found)
    assert [t.parameters for t in found] == [t.parameters for t in reference.trials]
    points = [tuple(sorted(t.parameters.items())) for t in found if t.baseline is None]
    assert "grid" not in kind.options or len(set(points)) == len(points)
    study = ledger(home, STUDY)
    assert study is not None
    result = rank_ledger(study)
    if "none" in kind.options:
        assert [numbers(trial) for trial in found] == [numbers(t) for t in reference.trials]
        assert result.hypervolume == reference.hypervolume
    else:
        check_rungs(home, found, reference)
    models = [m for m in list_models(open_store(open_home(home))) if m.tags["uid"] == study.uid]
    fronts = sorted(int(m.tags["trial"]) for m in models if m.tags["front"] == "0")
    assert fronts == sorted(ranked.trial.number for ranked in result.front)
    assert len({m.tags["trial"] for m in models}) == len(models), "a model is registered twice"


def check_runs(home: Path, found: Sequence[TrialRecord], counts: Counts) -> None:
    """One finished child per trial and one finished parent."""
    tracked = runs(home, STUDY)
    children = [run for run in tracked if is_trial(run)]
    counts.finished_runs += sum(run.info.status == "FINISHED" for run in children)
    counts.running_runs += sum(run.info.status == "RUNNING" for run in tracked)
    assert {run.info.status for run in tracked} == {"FINISHED"}
    assert len(tracked) == len(children) + 1
    by_number = {int(run.data.tags["safr.trial"]): run.info.run_id for run in children}
    assert by_number == {trial.number: trial.run_id for trial in found}
    assert len(by_number) == len(children)


def check_files(home: Path, found: Sequence[TrialRecord], counts: Counts) -> None:
    """Every model is whole, and nothing else is left."""
    for trial in found:
        if trial.state is TrialState.COMPLETE:
            assert trial.checkpoint is not None
            folder = Path(trial.checkpoint.uri)
            assert verify_model(folder) == trial.checkpoint
            assert [path.name for path in folder.parent.iterdir()] == ["model"]
            counts.checkpoints += 1
    assert pickles(home) == []


def check_epochs(
    home: Path, found: Sequence[TrialRecord], saved: Sequence[Saved], counts: Counts
) -> None:
    """No trial lost an epoch that it had saved, and none was trained again."""
    written = writes(home, STUDY)
    counts.retrained += sum(n - 1 for (_, name), n in written.items() if name.startswith("epoch:"))
    for trial in found:
        assert [report.epoch for report in trial.epochs] == list(range(1, len(trial.epochs) + 1))
    for at_kill in saved:
        for number, epochs in at_kill.items():
            final = [(report.epoch, report.seconds) for report in found[number].epochs]
            assert final[: len(epochs)] == epochs, f"trial {number} lost its epochs"
            counts.resumed += 1
    assert counts.retrained == 0


def check_rungs(home: Path, found: Sequence[TrialRecord], reference: Reference) -> None:
    """Every trial is complete or stopped at a rung, judged once at each that it reached."""
    judged = {key: n for key, n in writes(home, STUDY).items() if key[1].startswith("rung:")}
    assert judged
    assert set(judged.values()) == {1}, "a rung was judged twice"
    expected = {trial.number: trial for trial in reference.trials}
    for trial in found:
        reached = {report.epoch for report in trial.epochs if report.objectives is not None}
        rungs = {int(name.partition(":")[2]) for (number, name) in judged if number == trial.number}
        assert rungs == reached, "a rung was passed unjudged"
        if trial.state is TrialState.PRUNED and not trial.control:
            assert trial.stopped_at == len(trial.epochs)
        # As far as a trial got, its numbers are those of the undisturbed study.
        other = expected[trial.number]
        shared = min(len(trial.epochs), len(other.epochs))
        mine, theirs = numbers(trial)[-1][:shared], numbers(other)[-1][:shared]
        assert mine == theirs
        if trial.state is other.state is TrialState.COMPLETE:
            assert trial.values == other.values


@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_the_head_of_ray_is_killed(part: str, tmp_path: Path, table: list[Counts]) -> None:
    kind = KINDS[0]
    reference = undisturbed(kind, tmp_path / "undisturbed")
    counts = Counts(f"{part} killed")
    table.append(counts)
    folder = tmp_path / "study"
    folder.mkdir()
    saved: list[Saved] = []
    session = Session(folder / "home", kind.command)
    killed_at = None
    while session.running(kind.trials):
        enough = session.seen_trials and session.elapsed > session.seen_trials + 5
        if killed_at is None and enough:
            (head,) = named(session.process.pid, part)
            assert head.kill()
            killed_at = time.monotonic()
        if killed_at is not None and time.monotonic() > killed_at + HEAD_SECONDS:
            session.process.kill()
            pytest.fail(f"the driver hangs: {said(folder)}")
    assert killed_at is not None
    counts.orphan_seconds = time.monotonic() - killed_at
    counts.starts += 1
    saved.append(saved_epochs(session.home, STUDY))
    assert session.process.returncode in {3, 4}, said(folder)
    assert said(folder).splitlines()[-1].startswith("error: "), said(folder)
    assert "Traceback" not in said(folder)
    assert wait_for_end(named(session.process.pid, ""), ORPHAN_SECONDS) == []
    again = Session(folder / "home", kind.command, [], saved)
    while again.running(kind.trials):
        pass
    counts.starts += 1
    counts.studies += 1
    assert again.process.returncode == 0, said(folder)
    check(kind, folder / "home", reference, saved, counts)


def said(folder: Path) -> str:
    """The end of what the command wrote."""
    return (folder / "stderr.txt").read_text("utf-8")[-3000:].strip()
