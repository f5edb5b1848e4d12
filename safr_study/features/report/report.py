"""Everything that the report of a study shows: read from its ledger, its models looked at."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safr_study
from safr_study.errors import BadInput
from safr_study.features.compare import (
    StudyComparison,
    StudyView,
    compare_studies,
    comparison_json,
    study_view,
)
from safr_study.features.confirm.output import confirmation_json
from safr_study.features.confirm.plan import stored_confirmation
from safr_study.features.report.inspect_models import (
    Examples,
    InspectedModel,
    Say,
    inspect_models,
)
from safr_study.features.report.scorecard import Scorecard
from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import driver_of
from safr_study.ledger.importance import parameter_importance
from safr_study.ledger.notes import command_of
from safr_study.records import StudyResult, TrialRecord, picked, to_plain
from safr_study.records.study import HistoryPoint, Importance
from safr_study.render.format import half_widths
from safr_study.render.history import hypervolume_history
from safr_study.render.result_tables import result_json
from safr_study.render.scorecard import scorecard_values
from safr_study.settings import Objective, StudySpec
from safr_study.uncertainty.confirmation import Confirmation

SCHEMA_VERSION = 1
"""Version of the page's embedded data; raise it when a key changes its meaning."""
MOST_WHOLE = 200
"""Ranked trials of which everything measured is embedded: about 10 kB each."""
TEXTS = 6
"""Example explanations."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Study and options of a report."""

    study: str
    out: Path
    others: tuple[str, ...] = ()
    """Names of studies to compare it with."""
    anyway: bool = False
    """Compare also what is of other data."""
    quick: bool = False
    """Whether the ledger alone is read: no model is loaded, no text is shown."""
    texts: int = TEXTS
    causes: bool = False
    """Whether the scorecard has what neurons cause, and NAOPC."""
    written: str | None = None
    """Time that the page shows, ISO 8601; ``None``: now."""


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
    scorecard: Scorecard | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Objectives in the study's order."""
        return tuple(Objective(name=name) for name in self.result.objectives)

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials, by number."""
        return tuple(sorted(self.result.trials, key=lambda trial: trial.number))

    @property
    def missing(self) -> list[str]:
        """Why something is not shown, a sentence each."""
        problems = [self.examples.problem, *(one.problem for one in self.models)]
        problems += [] if self.scorecard is None else self.scorecard.problems
        return list(dict.fromkeys(sentence for sentence in problems if sentence))


def study_report(
    request: ReportRequest, stores: Stores, *, say: Say = lambda _: None
) -> StudyReport:
    """Everything that the page shows.

    Raises:
        BadInput: a study is unknown, they cannot be compared, or models that are left alone are to
            be measured.
        ServiceUnreachable: the ledger's database does not answer.
    """
    if request.quick and request.causes:
        raise BadInput("causes", "needs the models, which --quick leaves alone; leave one out")
    say("reading the ledger")
    with load_ledger(request.study, stores) as ledger:
        result, spec, facts = rank_ledger(ledger), ledger.spec, ledger.facts
        view = StudyView(result, spec, facts.corpus_fingerprint)
        comparison = None
        if request.others:
            others = [study_view(name, stores) for name in request.others]
            comparison = compare_studies([view, *others], anyway=request.anyway)
        say("estimating what matters")
        importance = parameter_importance(ledger)
        confirmation = stored_confirmation(ledger)
        command = command_of(ledger)
    models: Sequence[InspectedModel] = ()
    examples, card = Examples(), None
    if not request.quick:
        models, examples, card = inspect_models(
            spec,
            facts.corpus_fingerprint,
            result,
            stores.home,
            texts=request.texts,
            causes=request.causes,
            say=say,
        )
    return StudyReport(
        result=result,
        spec=spec,
        history=hypervolume_history(result),
        importance=importance,
        provenance={"corpus_fingerprint": facts.corpus_fingerprint, **facts.provenance},
        command=command,
        report_command=_command(request),
        written=request.written or datetime.now(UTC).isoformat(timespec="seconds"),
        safr_study=safr_study.__version__,
        running=driver_of(stores.home, request.study, stores.storage_url) is not None,
        confirmation=confirmation,
        models=tuple(models),
        examples=examples,
        comparison=comparison,
        scorecard=card,
    )


def _command(request: ReportRequest) -> str:
    parts = ["safr-study", "report", request.study, "--out", request.out.name]
    for name in request.others:
        parts += ["--with", name]
    parts += ["--anyway"] if request.anyway else []
    parts += ["--quick"] if request.quick else []
    parts += ["--texts", str(request.texts)] if request.texts != TEXTS else []
    parts += ["--causes"] if request.causes else []
    return shlex.join(parts)


def report_json(report: StudyReport) -> dict[str, Any]:
    """All numbers of the page as JSON values: what it embeds.

    Keys: ``schema``, ``result`` (as `result_json`; of more than `MOST_WHOLE` ranked trials the
    ``scores`` of those that are neither on the front nor baselines are null), ``spreads`` (by
    trial number and objective: ``half`` and ``covers``), ``history``, ``importance``,
    ``confirmation`` (as `confirmation_json`, or null), ``models`` (``trial``, ``role``, ``curve``,
    ``problem`` and ``predictions`` for each example), ``examples``, ``comparison`` (as
    `comparison_json`, or null), ``scorecard`` (``k``, ``texts``, ``causes``, ``sentences``, and
    ``models``: ``name`` and ``values``, each with its standard error; or null), ``settings``,
    ``provenance``, ``command``, ``report_command``,
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
        "scorecard": None if report.scorecard is None else _scorecard_json(report.scorecard),
        "settings": report.spec.model_dump(mode="json"),
        "provenance": to_plain(dict(report.provenance)),
        **picked(report, "command", "report_command", "written", "safr_study"),
    }


def _result_json(result: StudyResult) -> dict[str, Any]:
    plain = result_json(result)
    if len(plain["trials"]) > MOST_WHOLE:
        for trial in plain["trials"]:
            if not trial["on_front"] and trial["baseline"] is None:
                trial["scores"] = None
    return plain


def _scorecard_json(card: Scorecard) -> dict[str, Any]:
    models = [
        {"name": name, "values": to_plain(scorecard_values(scores, card.k))}
        for name, scores in card.models
    ]
    return {**picked(card, "k", "texts", "causes", "sentences"), "models": models}


def _model_json(one: InspectedModel) -> dict[str, Any]:
    return {
        **picked(one, "trial", "role", "curve", "problem"),
        "predictions": [picked(found, "prediction", "probability") for found in one.explanations],
    }
