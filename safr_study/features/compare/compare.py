"""Compare studies: read their ledgers, measure them with one measure, write it down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safr_study.errors import BadInput
from safr_study.features.compare.comparison import (
    ComparedStudy,
    Comparison,
    StudyView,
    compare_studies,
)
from safr_study.features.compare.tables import write_comparison_csv
from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.figures.comparison import PlottedFront, comparison_figure
from safr_study.ledger.storage import close_storage
from safr_study.render.format import values_of


def compare(names: Sequence[str], stores: Stores, *, anyway: bool = False) -> Comparison:
    """Studies of this home or storage, with one reference point.

    Args:
        names: of two studies or more.
        stores: where they are.
        anyway: compare also what is of other data.

    Raises:
        BadInput: a study is unknown, or they cannot be compared.
        ServiceUnreachable: the ledgers' database does not answer.
    """
    return compare_studies([study_view(name, stores) for name in names], anyway=anyway)


def study_view(name: str, stores: Stores) -> StudyView:
    """What a comparison needs of a study.

    Raises:
        BadInput: there is no such study.
    """
    ledger = load_ledger(name, stores)
    try:
        return StudyView(rank_ledger(ledger), ledger.spec, ledger.facts.corpus_fingerprint)
    finally:
        close_storage(ledger.storage)


def write_comparison(found: Comparison, folder: Path) -> list[Path]:
    """The fronts over each other as PNG and SVG, and all ranked trials as CSV.

    Raises:
        BadInput: the folder cannot be written, or no study has a ranked trial.
    """
    if not any(study.result.ranked for study in found.studies):
        raise BadInput("study", "none of them has a ranked trial yet: nothing to draw")
    fronts = [plotted_front(study) for study in found.studies]
    base = folder / f"compare-{'-'.join(found.names)}"[:200]
    written = [Path(f"{base}.{kind}") for kind in ("png", "svg", "csv")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in written[:2]:
            comparison_figure(fronts, found.objectives, path, caption=_caption(found))
        write_comparison_csv(found, written[2])
    except OSError as error:
        raise BadInput("out", f"{folder} cannot be written ({error}); choose another") from error
    return written


def plotted_front(study: ComparedStudy) -> PlottedFront:
    """A study's front as the figures take it."""
    members = study.result.front
    return PlottedFront(
        name=study.name,
        values=tuple(values_of(ranked) for ranked in members),
        joint=tuple(ranked.trial.number in study.joint for ranked in members),
    )


def _caption(found: Comparison) -> str:
    point = ", ".join(
        f"{objective.label} {value:.4g}"
        for objective, value in zip(found.objectives, found.reference_point, strict=True)
    )
    volumes = ", ".join(f"{one.name} {one.result.hypervolume:.5g}" for one in found.studies)
    return f"hypervolume from ({point}): {volumes}; joint front {found.hypervolume:.5g}"
