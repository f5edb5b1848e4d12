"""A confirmation as it is asked for, planned and ended, and what a ledger has of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from safr_study.cluster.slots import TrialSlots
from safr_study.errors import BadInput, SafrError, StudyIncomplete
from safr_study.features.study_base.results import rank_ledger
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import confirmed_runs, readings_of_test
from safr_study.records import RegisteredModel, StudyResult, TrialRecord
from safr_study.records.run import RunKey
from safr_study.settings import StudySpec
from safr_study.text import about, size
from safr_study.uncertainty.confirmation import Confirmation, confirmation, trials_to_confirm

Say = Callable[[str], None]
"""Shows a sentence about the progress to people."""
_SEEDS_IN_ALL = 2**63
"""A seed is below this."""


@dataclass(frozen=True, slots=True)
class ConfirmRequest:
    """What the user asked for."""

    study: str
    seeds: int = 5
    """New ones, at least 2."""
    max_concurrent: int | None = None
    """Runs at once; ``None``: as the study."""
    test: bool = True
    """Whether to read the test set, at the end."""


@dataclass(frozen=True, slots=True)
class ConfirmPlan:
    """What is about to be done."""

    study: str
    corpus: str
    """One line about the data."""
    trials: tuple[TrialRecord, ...]
    """Trials to be confirmed: the front, then the other baselines."""
    seeds: tuple[int, ...]
    missing: tuple[RunKey, ...]
    """(trial, seed) to train, in this order: seed by seed, so that all trials can be compared
    whenever it is interrupted."""
    slots: TrialSlots
    seconds: float
    """Wall time of what is missing, from that of the search's trials."""
    disk_bytes: int
    test_texts: int
    """0: the test set will not be read."""
    unread: int
    """Models, with those that are missing, for which it has not been read."""

    @property
    def wanted(self) -> int:
        """Runs in all."""
        return len(self.trials) * len(self.seeds)

    def lines(self) -> list[str]:
        """Sentences on what is about to be done, and what it will cost."""
        numbers = ", ".join(str(trial.number) for trial in self.trials)
        lines = [
            f"Confirm study {self.study} on {self.corpus}",
            f"{len(self.trials)} trials ({numbers}: the front and the baselines) x "
            f"{len(self.seeds)} new seeds ({', '.join(map(str, self.seeds))}): {self.wanted} runs, "
            f"{self.wanted - len(self.missing)} of them in the ledger",
        ]
        if self.missing:
            lines.append(
                f"{len(self.missing)} to do, {self.slots.sentence()}; "
                f"{about(self.seconds)} by the search's own times, "
                f"{size(self.disk_bytes)} of disk"
            )
        if self.unread:
            lines.append(
                f"at the end the test set ({self.test_texts:,} texts) is read once for "
                f"{self.unread} models"
            )
        return lines


@dataclass(frozen=True, slots=True)
class ConfirmOutcome:
    """A confirmation's end."""

    found: Confirmation
    models: tuple[RegisteredModel, ...]
    """Versions of the confirmed front; empty where nothing could be registered."""
    problem: SafrError | None = None
    """Why models and aliases are as they were; the confirmation is in the ledger."""
    unmeasured: tuple[str, ...] = ()
    """A sentence for each model that could not be measured on test."""

    @property
    def fault(self) -> SafrError | None:
        """What is still to be mended, with the exit code that it has."""
        again = "the same command tries again"
        if self.problem is not None:
            error = SafrError(
                f"{self.problem}; the confirmation is in the ledger, and when this is mended the "
                "same command registers its models and moves the aliases"
            )
            error.exit_code = self.problem.exit_code
            return error
        if failures := self.found.failures:
            runs, first = len(self.found.trials) * len(self.found.seeds), failures[0]
            return StudyIncomplete(
                f"{len(failures)} of {runs} runs failed (trial {first.trial}, "
                f"seed {first.seed}: {first.failure}); {again}"
            )
        if self.unmeasured:
            return StudyIncomplete(
                f"{len(self.unmeasured)} models could not be measured on test "
                f"({self.unmeasured[0]}); {again}"
            )
        return None


def new_seeds(spec: StudySpec, trials: Iterable[TrialRecord], count: int) -> tuple[int, ...]:
    """Seeds that the search did not use: the first whole numbers above the study's own.

    The front was selected on the numbers of the search's seeds, so these are biased for the better
    and have no part in a confirmation. All trials share the new seeds, and are so compared in
    pairs; more seeds begin with the same ones.
    """
    used = set(range(spec.seed, spec.seed + spec.seeds_per_trial))
    for trial in trials:
        used |= {trial.seed, *(replicate.seed for replicate in trial.replicates)}
    candidates = (seed % _SEEDS_IN_ALL for seed in itertools.count(spec.seed + 1))
    return tuple(itertools.islice((seed for seed in candidates if seed not in used), count))


def searched_study(ledger: Ledger) -> StudyResult:
    """The study as its search left it, with a front of trials that keep the constraints.

    Raises:
        BadInput: no such trial is complete.
    """
    result = rank_ledger(ledger)
    if not result.ranked:
        raise BadInput(
            "study",
            f"{result.name!r} has {result.nothing_ranked}: nothing to confirm; go on with its "
            "search first",
        )
    return result


def stored_confirmation(ledger: Ledger) -> Confirmation | None:
    """The confirmation that a ledger holds; ``None`` where nothing was retrained.

    Of the seeds that all of the front and the baselines have finished; where there is none yet,
    of all that any of them has.
    """
    runs = confirmed_runs(ledger)
    if not runs:
        return None
    searched = searched_study(ledger)
    seeds = sorted({seed for _, seed in runs})
    finished = {key for key, run in runs.items() if run.failure is None}
    numbers = [trial.number for trial in trials_to_confirm(searched)]
    whole = [seed for seed in seeds if finished >= {(number, seed) for number in numbers}]
    return confirmation(searched, runs, whole or seeds, readings=readings_of_test(ledger))
