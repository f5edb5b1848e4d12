"""Read past studies: their ranking, their pictures, their list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from safr_study.errors import BadInput
from safr_study.features.study_base.files import write_files
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import drivers
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import confirmed_seeds
from safr_study.ledger.storage import stored_studies
from safr_study.pareto import rank_study
from safr_study.records import StudyResult, TrialState
from safr_study.render.history import history_table, hypervolume_history
from safr_study.render.result_tables import result_table


@dataclass(frozen=True, slots=True)
class StudySummary:
    """One line of the list of studies."""

    name: str
    dataset: str
    asked: int
    complete: int
    stopped: int
    """Early, by the scheduler."""
    failed: int
    unfinished: int
    """Begun, and not ended."""
    running: bool
    """Whether somebody runs it now."""
    hypervolume: float


def rank_ledger(ledger: Ledger) -> StudyResult:
    """A ledger's trials, ranked."""
    spec, facts = ledger.spec, ledger.facts
    ranked = rank_study(
        name=spec.name,
        dataset=facts.slug,
        objectives=tuple(objective.name for objective in spec.objectives),
        reference_point=facts.reference_point,
        trials=ledger.trials(),
        asked=spec.trials,
        constraints=tuple(constraint.text for constraint in spec.space.constraints),
    )
    return replace(
        ranked,
        rungs=spec.scheduler.rungs(spec.train.epochs),
        confirmed_seeds=confirmed_seeds(ledger),
    )


def find_ledger(name: str, stores: Stores, *, drive: bool = False) -> Ledger | None:
    """The newest generation of a study, if there is one; ``drive``: for its one driver.

    Raises:
        BadInput: it cannot be read by this version.
    """
    return Ledger.open(stores.home, stores.storage_url, name, drive=drive)


def load_ledger(name: str, stores: Stores, *, drive: bool = False) -> Ledger:
    """The newest generation of a study; ``drive``: for its one driver.

    Raises:
        BadInput: there is no such study; says which there are.
    """
    ledger = find_ledger(name, stores, drive=drive)
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
    with load_ledger(name, stores) as ledger:
        return rank_ledger(ledger)


def write_result(result: StudyResult, folder: Path) -> list[Path]:
    """The front, and how the hypervolume grew, as PNG, SVG and CSV.

    Raises:
        BadInput: the folder cannot be written, or no trial is complete yet.
    """
    if not result.ranked:
        raise BadInput("study", f"{result.name!r} has no ranked trial yet: nothing to draw")
    # matplotlib is slow to import, and most who read a study ask for no picture.
    from safr_study.figures.front import front_figure
    from safr_study.figures.history import history_figure

    history = hypervolume_history(result)
    draw_front = partial(front_figure, result)
    draw_history = partial(history_figure, result, history)
    front, grown = f"{result.name}-front", f"{result.name}-hypervolume"
    return write_files(
        folder,
        {
            f"{front}.png": draw_front,
            f"{front}.svg": draw_front,
            f"{front}.csv": result_table(result),
            f"{grown}.png": draw_history,
            f"{grown}.svg": draw_history,
            f"{grown}.csv": history_table(history),
        },
    )


def list_studies(stores: Stores) -> tuple[list[StudySummary], list[str]]:
    """All studies of this home or storage by name, and a sentence for each that cannot be read."""
    summaries = []
    skipped = []
    names = stored_studies(stores.home, stores.storage_url)
    running = drivers(stores.home, names, stores.storage_url)
    for name in names:
        try:
            ledger = find_ledger(name, stores)
        except BadInput as error:
            skipped.append(str(error))
            continue
        if ledger is None:
            continue
        with ledger:
            result = rank_ledger(ledger)
        states = [trial.state for trial in result.unranked]
        summaries.append(
            StudySummary(
                name=name,
                dataset=result.dataset,
                asked=result.asked,
                complete=len(result.ranked) + len(result.infeasible),
                stopped=states.count(TrialState.PRUNED),
                failed=states.count(TrialState.FAILED),
                unfinished=states.count(TrialState.RUNNING),
                running=name in running,
                hypervolume=result.hypervolume,
            )
        )
    return summaries, skipped
