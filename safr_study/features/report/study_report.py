"""Everything that the report of a study shows, gathered: data in, page out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safr_study.features.compare import StudyComparison, comparison_json
from safr_study.features.confirm.output import confirmation_json
from safr_study.features.report.inspect_models import Examples, InspectedModel
from safr_study.records import StudyResult, TrialRecord, TrialState, to_plain
from safr_study.records.study import HistoryPoint, Importance
from safr_study.render.format import half_widths
from safr_study.render.result_tables import result_json
from safr_study.settings import Objective, StudySpec
from safr_study.uncertainty.confirmation import Confirmation

SCHEMA_VERSION = 1
"""Version of the page's embedded data; raise it when a key changes its meaning."""
MOST_WHOLE = 200
"""Ranked trials of which everything measured is embedded: about 10 kB each."""


@dataclass(frozen=True, slots=True, eq=False)
class StudyReport:
    """One study, read at one moment."""

    result: StudyResult
    spec: StudySpec
    history: tuple[HistoryPoint, ...]
    importance: tuple[Importance, ...]
    provenance: Mapping[str, Any]
    """Provenance in the ledger: commit, versions, fingerprint of the corpus."""
    command: str
    """Command that repeats or resumes the study."""
    report_command: str
    """Command that makes this page again."""
    written: str
    """Time, ISO 8601 in UTC."""
    safr_study: str
    """Version that made the page."""
    running: bool = False
    """True while a driver runs the study."""
    confirmation: Confirmation | None = None
    models: tuple[InspectedModel, ...] = ()
    examples: Examples = field(default_factory=Examples)
    comparison: StudyComparison | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Objectives in the study's order."""
        return tuple(Objective(name=name) for name in self.result.objectives)

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials, by number."""
        members = (*(ranked.trial for ranked in self.result.ranked), *self.result.unranked)
        return tuple(sorted(members, key=lambda trial: trial.number))

    def count(self, state: TrialState) -> int:
        """Trials in this state."""
        return sum(trial.state is state for trial in self.trials)


def report_json(report: StudyReport) -> dict[str, Any]:
    """All numbers of the page as JSON values: what it embeds.

    Keys: ``schema``, ``result`` (as `result_json`; of more than `MOST_WHOLE` ranked trials the
    ``scores`` of those that are neither on the front nor baselines are null), ``spreads`` (by
    trial number and objective: ``half`` and ``covers``), ``history``, ``importance``,
    ``confirmation`` (as `confirmation_json`, or null), ``models`` (``trial``, ``role``, ``curve``,
    ``problem`` and ``predictions`` for each example), ``examples``, ``comparison`` (as
    `comparison_json`, or null), ``settings``, ``provenance``, ``command``, ``report_command``,
    ``written`` and ``safr_study``.
    """
    names = report.result.objectives
    return {
        "schema": SCHEMA_VERSION,
        "result": _result_json(report.result),
        "spreads": {
            str(ranked.trial.number): dict(
                zip(names, map(to_plain, half_widths(ranked.trial, report.objectives)), strict=True)
            )
            for ranked in report.result.ranked
        },
        "history": to_plain(report.history),
        "importance": [{**to_plain(one), "strength": one.strength} for one in report.importance],
        "confirmation": None
        if report.confirmation is None
        else confirmation_json(report.confirmation),
        "models": [_model_json(one) for one in report.models],
        "examples": to_plain(report.examples),
        "comparison": None if report.comparison is None else comparison_json(report.comparison),
        "settings": report.spec.model_dump(mode="json"),
        "provenance": to_plain(dict(report.provenance)),
        "command": report.command,
        "report_command": report.report_command,
        "written": report.written,
        "safr_study": report.safr_study,
    }


def _result_json(result: StudyResult) -> dict[str, Any]:
    plain = result_json(result)
    if len(plain["trials"]) > MOST_WHOLE:
        for trial in plain["trials"]:
            if not trial["on_front"] and trial["baseline"] is None:
                trial["scores"] = None
    return plain


def _model_json(one: InspectedModel) -> dict[str, Any]:
    return {
        "trial": one.trial,
        "role": one.role,
        "curve": None if one.curve is None else to_plain(one.curve),
        "problem": one.problem,
        "predictions": [
            {"prediction": found.prediction, "probability": found.probability}
            for found in one.explanations
        ],
    }
