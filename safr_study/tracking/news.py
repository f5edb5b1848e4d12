"""What the writer to MLflow is handed: the newest state of a trial, or of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from safr_study.records import EpochReport, RankedTrial, StudyResult, TrialRecord
from safr_study.records.history import HistoryPoint
from safr_study.tracking.entries import milliseconds


@dataclass(frozen=True, slots=True)
class TrialNews:
    """A trial that began, went on, ended or was ranked."""

    trial: TrialRecord
    reports: Mapping[int, EpochReport] = field(default_factory=dict)
    """By epoch; those of the record are put in."""
    ranked: RankedTrial | None = None
    as_of: int | None = None
    """When it was ranked, in milliseconds since 1970."""
    alive: bool = False
    """Whether this process runs the trial."""

    def __post_init__(self) -> None:
        known = {report.epoch: report for report in self.trial.epochs}
        object.__setattr__(self, "reports", {**known, **self.reports})


@dataclass(frozen=True, slots=True)
class StudyNews:
    """A study at its end, or at an interruption."""

    result: StudyResult
    history: tuple[HistoryPoint, ...]
    artifacts: Mapping[str, bytes]
    """By path."""
    tables: tuple[str, ...]
    """Paths of those artifacts that the page shows as tables."""
    as_of: int
    """When the last of its trials ended, in milliseconds since 1970."""
    interrupted: bool


Item = TrialNews | StudyNews


def merged(older: Item, newer: Item) -> Item:
    """Two items of one run, made one: the newer state, with all that only the older one says."""
    if isinstance(older, TrialNews) and isinstance(newer, TrialNews):
        return replace(
            newer,
            reports={**older.reports, **newer.reports},
            ranked=newer.ranked or older.ranked,
            as_of=newer.as_of or older.as_of,
        )
    return newer


def moment_of(result: StudyResult) -> int | None:
    """Ranks and outcome are those of a moment: when the last trial had ended, if that is known.

    In milliseconds since 1970.
    """
    trials = [*(ranked.trial for ranked in result.ranked), *result.unranked]
    ended = [trial.ended for trial in trials if trial.ended is not None]
    return milliseconds(max(ended, default=None))
