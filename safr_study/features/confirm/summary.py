"""What a ledger has of a confirmation: the part to be confirmed, and what is confirmed by now."""

from __future__ import annotations

from safr_study.errors import BadInput
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import confirmed_runs, readings_of_test
from safr_study.pareto import rank_study
from safr_study.records import TrialState
from safr_study.uncertainty.confirmation import Confirmation, Searched, confirmation


def searched_part(ledger: Ledger) -> Searched:
    """The first front of the trials that keep the constraints, and the baselines.

    Raises:
        BadInput: no such trial is complete.
    """
    spec, facts = ledger.spec, ledger.facts
    trials = [trial for trial in ledger.trials() if trial.feasible]
    result = rank_study(
        name=spec.name,
        dataset=facts.slug,
        objectives=tuple(objective.name for objective in spec.objectives),
        reference_point=facts.reference_point,
        trials=trials,
        asked=spec.trials,
    )
    if not result.ranked:
        raise BadInput(
            "study",
            f"{spec.name!r} has no complete trial"
            f"{' that keeps the constraints' if spec.space.constraints else ''} yet: nothing to "
            "confirm; go on with its search first",
        )
    complete = [trial for trial in ledger.trials() if trial.state is TrialState.COMPLETE]
    return Searched(result, tuple(trial for trial in complete if trial.baseline is not None))


def stored_confirmation(ledger: Ledger) -> Confirmation | None:
    """The confirmation that a ledger holds; ``None`` where nothing was retrained.

    Of the seeds that all of the front and the baselines have finished; where there is none yet,
    of all that any of them has.
    """
    runs = confirmed_runs(ledger)
    if not runs:
        return None
    searched = searched_part(ledger)
    seeds = sorted({seed for _, seed in runs})
    numbers = [trial.number for trial in searched.trials]
    whole = [
        seed
        for seed in seeds
        if all((n, seed) in runs and runs[n, seed].failure is None for n in numbers)
    ]
    return confirmation(searched, runs, whole or seeds, readings=readings_of_test(ledger))
