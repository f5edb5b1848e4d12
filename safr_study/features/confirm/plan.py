"""A confirmation as it is asked for, planned, shown and ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from safr_study.cluster.slots import TrialSlots
from safr_study.errors import SafrError
from safr_study.records import RegisteredModel, TrialRecord
from safr_study.records.run import RunKey, RunResult
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import Confirmation


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
    """To be confirmed: the front, then the other baselines."""
    objectives: tuple[Objective, ...]
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


class ConfirmProgress(Protocol):
    """Who shows a confirmation to people while it runs."""

    def planned(self, plan: ConfirmPlan) -> None:
        """It is about to begin."""

    def run_ended(self, trial: TrialRecord, run: RunResult, left: int, seconds: float) -> None:
        """A run is in the ledger; `left` are to come, in about so many seconds."""

    def test_begins(self, models: int, texts: int) -> None:
        """The test set is read from now on."""

    def test_ended(self, trial: TrialRecord, seed: int, left: int) -> None:
        """A model was measured on test; `left` are to come."""

    def warn(self, sentence: str) -> None:
        """Something did not go as it should; the confirmation goes on."""


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
