"""Past studies: their ledgers, their ranking, their files, their list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from safr_study.cluster.slots import GPU_SHARE
from safr_study.errors import BadInput
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Lease, driver_lock, drivers
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import confirmed_seeds
from safr_study.ledger.storage import stored_studies
from safr_study.pareto import rank_study
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.records.cost import cost_of
from safr_study.records.study import HistoryPoint, binding
from safr_study.render.history import history_table, hypervolume_history
from safr_study.render.result_tables import result_table
from safr_study.settings import StudySpec

if TYPE_CHECKING:
    import pandas as pd

Content: TypeAlias = "str | pd.DataFrame | Callable[[Path], object]"
"""A text, a table for CSV, or a function that writes the file."""


def rank_ledger(ledger: Ledger) -> StudyResult:
    """A ledger's trials, ranked."""
    spec, facts = ledger.spec, ledger.facts
    constraints = spec.space.constraints
    trials = tuple(
        replace(one, violations=binding(one, constraints, one.violations))
        for one in ledger.trials()
    )
    resources = spec.resources
    gpus = GPU_SHARE if resources.gpus_per_trial is None else resources.gpus_per_trial
    ranked = rank_study(
        name=spec.name,
        dataset=facts.slug,
        objectives=tuple(objective.name for objective in spec.objectives),
        reference_point=facts.reference_point,
        trials=trials,
        asked=spec.trials,
        constraints=tuple(constraint.text for constraint in constraints),
    )
    return replace(
        ranked,
        rungs=spec.scheduler.rungs(spec.train.epochs),
        confirmed_seeds=confirmed_seeds(ledger),
        cost=cost_of(trials, cpus=resources.cpus_per_trial, gpus=gpus),
        recommended=_recommended(ledger, spec, trials),
    )


def _recommended(
    ledger: Ledger, spec: StudySpec, trials: Sequence[TrialRecord]
) -> tuple[int, ...] | None:
    if spec.scheduler.name != "freeze-thaw":
        return None
    # It imports scipy, which other studies are shown without.
    from safr_study.ledger.resume import rebuilt_thaw

    thaw = rebuilt_thaw(ledger, spec, trials)
    return None if thaw is None else tuple(thaw.recommended())


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


@contextmanager
def driven_ledger(name: str, stores: Stores) -> Iterator[tuple[Ledger, Lease]]:
    """The newest generation of a study that no other driver has in the block, to be written.

    Raises:
        BadInput: there is no such study, or another driver runs it.
    """
    # Asked first: an unknown name leaves no lock behind.
    with load_ledger(name, stores):
        pass
    with (
        driver_lock(stores.home, name, stores.storage_url) as lease,
        load_ledger(name, stores, drive=True) as ledger,
    ):
        yield ledger, lease


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
        raise BadInput("study", f"{result.name!r} has {result.nothing_ranked}: nothing to draw")
    files = result_files(result, hypervolume_history(result))
    return write_files(folder, {f"{result.name}-{name}": made for name, made in files.items()})


def result_files(result: StudyResult, history: tuple[HistoryPoint, ...]) -> dict[str, Content]:
    """The front, and how the hypervolume grew, by the names of their files."""
    # matplotlib is slow to import, and most who read a study ask for no picture.
    from safr_study.figures.front import front_figure
    from safr_study.figures.history import history_figure

    draw_front = partial(front_figure, result)
    draw_history = partial(history_figure, result, history)
    return {
        "front.png": draw_front,
        "front.svg": draw_front,
        "front.csv": result_table(result),
        "hypervolume.png": draw_history,
        "hypervolume.svg": draw_history,
        "hypervolume.csv": history_table(history),
    }


def check_file(field: str, path: Path, suffixes: tuple[str, ...], problem: str) -> None:
    """See that a file can be written, before anything is computed for it.

    Args:
        field: the option that names it.
        path: of the file.
        suffixes: of its name, lower case.
        problem: what is wrong with any other name, and what to do.

    Raises:
        BadInput: the suffix is another, or the folder is not there.
    """
    if path.suffix.lower() not in suffixes:
        raise BadInput(field, f"{path.name} {problem}")
    if not path.absolute().parent.is_dir():
        raise BadInput(field, f"{path.parent} is no folder; make it first")


def check_replaced(field: str, path: Path, *, force: bool) -> None:
    """See that a file is not there yet, unless it may be replaced.

    Raises:
        BadInput: it is there; ``field`` names the option.
    """
    if path.exists() and not force:
        raise BadInput(field, f"{path} is there already; name another file, or add --force")


def write_files(folder: Path, contents: Mapping[str, Content]) -> list[Path]:
    """Write files by their names into a folder, which is made where it is missing.

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            path = folder / name
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            elif callable(content):
                content(path)
            else:
                content.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    except OSError as error:
        raise BadInput("out", f"{folder} cannot be written ({error}); choose another") from error
    return [folder / name for name in contents]


def stored_ledgers(stores: Stores) -> Iterator[tuple[str, bool, Ledger | BadInput]]:
    """Each study of this home or storage: its name, whether somebody runs it, and its ledger.

    A ledger is open until the next one is asked for. One that cannot be read is its error.
    """
    names = stored_studies(stores.home, stores.storage_url)
    running = drivers(stores.home, names, stores.storage_url)
    for name in names:
        try:
            ledger = find_ledger(name, stores)
        except BadInput as error:
            yield name, name in running, error
            continue
        if ledger is not None:
            with ledger:
                yield name, name in running, ledger


def list_studies(stores: Stores) -> tuple[list[dict[str, Any]], list[str]]:
    """All studies of this home or storage by name, and a sentence for each that cannot be read.

    Each has ``name``, ``dataset``, ``asked``, ``complete``, ``stopped`` (early, by the scheduler),
    ``failed``, ``unfinished`` (begun, and not ended), ``running`` (whether somebody runs it now)
    and ``hypervolume``.
    """
    summaries = []
    skipped = []
    for name, running, ledger in stored_ledgers(stores):
        if isinstance(ledger, BadInput):
            skipped.append(str(ledger))
            continue
        result = rank_ledger(ledger)
        summaries.append(
            {
                "name": name,
                "dataset": result.dataset,
                "asked": result.asked,
                "complete": result.count(TrialState.COMPLETE),
                "stopped": result.count(TrialState.PRUNED),
                "failed": result.count(TrialState.FAILED),
                "unfinished": result.count(TrialState.RUNNING),
                "running": running,
                "hypervolume": result.hypervolume,
            }
        )
    return summaries, skipped
