"""What a driver that is gone has left in its ledger, for the next one to resume.

The state of a training itself, from which a worker resumes it, is in ``checkpoint/resume_state``.
"""

from __future__ import annotations

from collections.abc import Sequence

from safr_study.ledger.ledger import Ledger
from safr_study.records import TrialRecord, TrialState
from safr_study.sampling.asha import Asha
from safr_study.sampling.next_step import FreezeThaw
from safr_study.settings import StudySpec


def unfinished_trials(ledger: Ledger, spec: StudySpec) -> list[TrialRecord]:
    """The trials that were running, to be resumed from their checkpoints, by number.

    Those that were paused wait until they are chosen. One that was cut off before its settings were
    written gets those that it would have had.
    """
    running = (
        trial
        for trial in ledger.trials()
        if trial.state is TrialState.RUNNING and trial.paused_at is None
    )
    return [
        trial if trial.parameters else ledger.draw_again(trial.number, spec) for trial in running
    ]


def rebuilt_thaw(
    ledger: Ledger, spec: StudySpec, trials: Sequence[TrialRecord]
) -> FreezeThaw | None:
    """Freeze-thaw as it was after these trials; ``None`` for a study under another scheduler."""
    if spec.scheduler.name != "freeze-thaw":
        return None
    known = ledger.study.get_trials(deepcopy=False)[: ledger.known]
    thaw = FreezeThaw(spec, ledger.facts.reference_point, known)
    for trial in trials:
        thaw.add(trial)
    return thaw


def rebuilt_scheduler(spec: StudySpec, trials: Sequence[TrialRecord]) -> Asha:
    """The scheduler as it was after these trials."""
    asha = Asha(spec.scheduler, spec.objectives, epochs=spec.train.epochs, seed=spec.seed)
    for trial in trials:
        for report in trial.epochs:
            if report.objectives is not None:
                asha.add(trial.number, report.epoch, report.objectives)
        if trial.control and trial.stopped_at is not None:
            asha.add_control(trial.number, trial.stopped_at)
        if trial.state is TrialState.COMPLETE and trial.values is not None:
            asha.add_end(trial.number, trial.values)
    return asha
