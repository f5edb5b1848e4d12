"""``pareto`` and ``list``: what past studies found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import output
from safr_study.cli.options import (
    HomeOption,
    JsonOption,
    StorageOption,
    StudyArgument,
    open_stores,
)
from safr_study.cli.status import show_studies

if TYPE_CHECKING:
    from safr_study.records import StudyResult

ROWS = 100
"""Of a table that nobody asked to be longer."""


def pareto(
    study: StudyArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the pictures and tables.", file_okay=False),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", help="Trials in the table, the best; 0: all.", min=0)
    ] = ROWS,
    json: JsonOption = False,
    home: HomeOption = None,
    storage: StorageOption = None,
) -> None:
    """Rank all trials of a study: fronts, knee, hypervolume.

    Examples:

      safr-study pareto s1

      safr-study pareto s1 --out figures

      safr-study pareto s1 --json | jq '.trials[] | select(.on_front)'
    """
    from safr_study.features.study_base.results import load_result, write_result
    from safr_study.render.result_tables import result_json

    with output.without_collector():
        result = load_result(study, open_stores(home, storage=storage, reads=True))
        written = write_result(result, out) if out is not None else []
        if json:
            output.print_json({**result_json(result), "written": [str(path) for path in written]})
            return
        _show(result, rows or len(result.ranked))
    for path in written:
        output.err().print(f"wrote {path}")


def _show(result: StudyResult, rows: int) -> None:
    from safr_study.render.result_tables import ranking_table, result_notes

    console = output.out()
    if result.ranked:
        output.show(ranking_table(result, rows=rows))
    else:
        console.print(f"Study {result.name}: no trial is complete yet.")
    more = len(result.ranked) - rows
    if more > 0:
        console.print(
            f"{more:,} more trials; --rows 0 shows all, --out FOLDER writes all as CSV.",
            soft_wrap=True,
        )
    for line in result_notes(result):
        console.print(line, soft_wrap=True)


def list_studies(
    json: JsonOption = False, home: HomeOption = None, storage: StorageOption = None
) -> None:
    """List the studies of this home or ledger database.

    Example:

      safr-study list
    """
    show_studies(open_stores(home, storage=storage, reads=True), as_json=json)
