"""Read past studies: their ranking, their pictures, their list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safr_study.errors import BadInput
from safr_study.figures import front_figure
from safr_study.pareto import rank_study
from safr_study.records import StudyResult, TrialState
from safr_study.report import write_csv
from safr_study.study.ledger import Ledger
from safr_study.study.storage import open_storage, stored_studies
from safr_study.workflows.stores import Stores


@dataclass(frozen=True, slots=True)
class StudySummary:
    """One line of the list of studies."""

    name: str
    dataset: str
    asked: int
    complete: int
    failed: int
    unfinished: int
    hypervolume: float


def rank_ledger(ledger: Ledger) -> StudyResult:
    """A ledger's trials, ranked."""
    spec, facts = ledger.spec, ledger.facts
    return rank_study(
        name=spec.name,
        dataset=facts.slug,
        objectives=tuple(objective.name for objective in spec.objectives),
        reference_point=facts.reference_point,
        trials=ledger.trials(),
        asked=spec.trials,
    )


def load_ledger(name: str, stores: Stores) -> Ledger:
    """The newest generation of a study.

    Raises:
        BadInput: there is no such study; says which there are.
    """
    ledger = _find_ledger(name, stores)
    if ledger is None:
        known = [n for n in stored_studies(stores.home, stores.storage_url) if n != name]
        there = f"there are: {', '.join(known[:10])}" if known else "there is none yet"
        raise BadInput(
            "study", f"{name!r} is unknown here; {there} (see safr-study list, --home, --storage)"
        )
    return ledger


def load_result(name: str, stores: Stores) -> StudyResult:
    """A study's trials, ranked.

    Raises:
        BadInput: there is no such study.
    """
    return rank_ledger(load_ledger(name, stores))


def write_result(result: StudyResult, folder: Path) -> list[Path]:
    """The front as PNG, SVG and CSV.

    Raises:
        BadInput: the folder cannot be written, or no trial is complete yet.
    """
    if not result.ranked:
        raise BadInput("study", f"{result.name!r} has no complete trial yet: nothing to draw")
    written = [folder / f"{result.name}-front.{suffix}" for suffix in ("png", "svg", "csv")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in written:
            if path.suffix == ".csv":
                write_csv(result, path)
            else:
                front_figure(result, path)
    except OSError as error:
        raise BadInput("out", f"{folder} cannot be written ({error}); choose another") from error
    return written


def list_studies(stores: Stores) -> tuple[list[StudySummary], list[str]]:
    """All studies of this home or storage by name, and a sentence for each that cannot be read."""
    summaries = []
    skipped = []
    for name in stored_studies(stores.home, stores.storage_url):
        try:
            ledger = _find_ledger(name, stores)
        except BadInput as error:
            skipped.append(str(error))
            continue
        if ledger is None:
            continue
        result = rank_ledger(ledger)
        states = [trial.state for trial in result.unranked]
        summaries.append(
            StudySummary(
                name=name,
                dataset=result.dataset,
                asked=result.asked,
                complete=len(result.ranked),
                failed=states.count(TrialState.FAILED),
                unfinished=states.count(TrialState.RUNNING),
                hypervolume=result.hypervolume,
            )
        )
    return summaries, skipped


def _find_ledger(name: str, stores: Stores) -> Ledger | None:
    storage = open_storage(stores.home, stores.storage_url, name, create=False)
    return Ledger.load(storage, name) if storage is not None else None
