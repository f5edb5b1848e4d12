"""What a study would begin with, without a ledger of its own."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.resume import rebuilt_thaw
from safr_study.records import TrialRecord
from safr_study.sampling.next_step import Begin
from safr_study.settings import StudySpec


def first_trials(
    spec: StudySpec, facts: StudyFacts, count: int, known: Sequence[FrozenTrial] = ()
) -> list[TrialRecord]:
    """What a new study would ask for before any trial has ended.

    Args:
        spec: the study.
        facts: it would begin with.
        count: trials, at least 0; a grid may have fewer.
        known: as for ``Ledger.create``.
    """
    ledger = Ledger.create(optuna.storages.InMemoryStorage(), spec, facts, known)
    thaw = rebuilt_thaw(ledger, spec, ())
    found: list[TrialRecord] = []
    for _ in range(min(count, spec.trials)):
        step = None if thaw is None else thaw.next(may_begin=True)
        trial = ledger.ask(spec, step.drawn if isinstance(step, Begin) else None)
        if trial is not None:
            found.append(trial)
            if thaw is not None:
                thaw.add(trial)
    return found
