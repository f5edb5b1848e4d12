"""Write the report of a study: read its ledger, look at its models, make the page."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safr_study
from safr_study.errors import BadInput
from safr_study.features.compare.compare import (
    StudyComparison,
    StudyView,
    compare_studies,
    study_view,
)
from safr_study.features.confirm.summary import stored_confirmation
from safr_study.features.report.inspect_models import Examples, InspectedModel, inspect_models
from safr_study.features.report.page import study_page
from safr_study.features.report.study_report import StudyReport
from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import driver_of
from safr_study.ledger.importance import parameter_importance
from safr_study.ledger.notes import command_of
from safr_study.render.history import hypervolume_history

TEXTS = 6
"""Example explanations."""
Say = Callable[[str], None]


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


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report on disk."""

    path: Path
    bytes: int
    report: StudyReport

    def facts(self) -> dict[str, Any]:
        """Facts for programs: where the page is, and what it has."""
        result = self.report.result
        missing = [self.report.examples.problem, *(one.problem for one in self.report.models)]
        return {
            "written": str(self.path),
            "bytes": self.bytes,
            "study": result.name,
            "dataset": result.dataset,
            "trials": len(self.report.trials),
            "front": [ranked.trial.number for ranked in result.front],
            "hypervolume": result.hypervolume,
            "models": [{"trial": one.trial, "role": one.role} for one in self.report.models],
            "texts": len(self.report.examples.texts),
            "compared": [] if self.report.comparison is None
            else list(self.report.comparison.names[1:]),
            "missing": [sentence for sentence in dict.fromkeys(missing) if sentence],
        }  # fmt: skip


def write_report(
    request: ReportRequest, stores: Stores, *, say: Say = lambda _: None
) -> WrittenReport:
    """Make the page and write it, whole or not at all.

    Args:
        request: what was asked for.
        stores: where the studies are.
        say: told what is done next.

    Raises:
        BadInput: a study is unknown, they cannot be compared, or the file cannot be written.
        ServiceUnreachable: the ledger's database does not answer.
    """
    _check_file(request.out)
    report = study_report(request, stores, say=say)
    say("writing the page")
    page = study_page(report).encode()
    unfinished = request.out.with_name(f".{request.out.name}.part")
    try:
        unfinished.write_bytes(page)
        unfinished.replace(request.out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BadInput("out", f"{request.out} cannot be written ({error.strerror})") from error
    return WrittenReport(request.out, len(page), report)


def study_report(
    request: ReportRequest, stores: Stores, *, say: Say = lambda _: None
) -> StudyReport:
    """Everything that the page shows.

    Raises:
        BadInput: a study is unknown, or they cannot be compared.
        ServiceUnreachable: the ledger's database does not answer.
    """
    say("reading the ledger")
    with load_ledger(request.study, stores) as ledger:
        result, spec, facts = rank_ledger(ledger), ledger.spec, ledger.facts
        view = StudyView(result, spec, facts.corpus_fingerprint)
        comparison = _comparison(view, request, stores)
        say("estimating what matters")
        importance = parameter_importance(ledger)
        confirmation = stored_confirmation(ledger)
        command = command_of(ledger)
    models: Sequence[InspectedModel] = ()
    examples = Examples()
    if not request.quick:
        models, examples = inspect_models(
            spec, facts.corpus_fingerprint, result, stores.home, texts=request.texts, say=say
        )
    return StudyReport(
        result=result,
        spec=spec,
        history=hypervolume_history(result),
        importance=importance,
        provenance={"corpus_fingerprint": facts.corpus_fingerprint, **facts.provenance},
        command=command,
        report_command=_command(request),
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        safr_study=safr_study.__version__,
        running=driver_of(stores.home, request.study, stores.storage_url) is not None,
        confirmation=confirmation,
        models=tuple(models),
        examples=examples,
        comparison=comparison,
    )


def _comparison(view: StudyView, request: ReportRequest, stores: Stores) -> StudyComparison | None:
    if not request.others:
        return None
    others = [study_view(name, stores) for name in request.others]
    return compare_studies([view, *others], anyway=request.anyway)


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in (".html", ".htm"):
        raise BadInput("out", f"{path.name} is no page; end it in .html")
    if not path.absolute().parent.is_dir():
        raise BadInput("out", f"{path.parent} is no folder; make it first")


def _command(request: ReportRequest) -> str:
    parts = ["safr-study", "report", request.study, "--out", request.out.name]
    for name in request.others:
        parts += ["--with", name]
    parts += ["--anyway"] if request.anyway else []
    parts += ["--quick"] if request.quick else []
    parts += ["--texts", str(request.texts)] if request.texts != TEXTS else []
    return shlex.join(parts)
