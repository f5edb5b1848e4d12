"""``pareto``, ``report`` and ``compare``: what studies found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import output
from safr_study.cli.completion import complete_study
from safr_study.cli.options import (
    HomeOption,
    JsonOption,
    StorageOption,
    StudyArgument,
    open_stores,
    option,
)
from safr_study.text import size

if TYPE_CHECKING:
    from safr_study.records import StudyResult

AnywayOption = Annotated[
    bool, option("--anyway", "Compare also studies of other data; it is said then.")
]
ROWS = 100
"""Rows of the ranking that are shown by default."""


def pareto(
    study: StudyArgument,
    out: Annotated[
        Path | None, option("--out", "Folder for the pictures and tables.", file_okay=False)
    ] = None,
    rows: Annotated[int, option("--rows", "Trials in the table, the best; 0: all.", min=0)] = ROWS,
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


def report(
    study: StudyArgument,
    out: Annotated[
        Path | None, option("--out", "The page; else STUDY-report.html.", dir_okay=False)
    ] = None,
    others: Annotated[
        list[str] | None,
        option(
            "--with",
            "Set another study beside it; may be given again.",
            complete=complete_study,
            metavar="STUDY",
        ),
    ] = None,
    anyway: AnywayOption = False,
    quick: Annotated[
        bool, option("--quick", "From the ledger alone: no curves over k, no example texts.")
    ] = False,
    texts: Annotated[
        int, option("--texts", "Example texts of dev on the page.", min=0, max=50)
    ] = 6,
    json: JsonOption = False,
    home: HomeOption = None,
    storage: StorageOption = None,
) -> None:
    """Write a study as one page: front, what matters, curves, explanations, provenance.

    The page needs no network, prints, and holds its numbers as JSON too. It shows a few dev texts,
    unless --quick or --texts 0 is given.

    Examples:

      safr-study report s1 --out report.html

      safr-study report s2 --with s1 --out s2.html

      safr-study report s1 --quick --json
    """
    from safr_study.features.report.page import write_report
    from safr_study.features.report.report import ReportRequest

    request = ReportRequest(
        study=study,
        out=out or Path(f"{study}-report.html"),
        others=tuple(others or ()),
        anyway=anyway,
        quick=quick,
        texts=texts,
    )
    with _progress() as say:
        written = write_report(request, open_stores(home, storage=storage, reads=True), say=say)
    facts = written.facts()
    if json:
        output.print_json(facts)
        return
    for sentence in facts["missing"]:
        output.err().print(f"note: {sentence}", soft_wrap=True)
    output.out().print(f"wrote {written.path} ({size(written.bytes)})", soft_wrap=True)


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(
            help="Two studies or more (see safr-study list).",
            autocompletion=complete_study,
            metavar="STUDY STUDY...",
        ),
    ],
    out: Annotated[
        Path | None, option("--out", "Folder for the picture and the table.", file_okay=False)
    ] = None,
    anyway: AnywayOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
    storage: StorageOption = None,
) -> None:
    """Set studies beside each other: joint front, hypervolume from one point, what differs.

    Studies over other objectives have no common axes and are refused; those of other data are
    refused too, unless --anyway is given.

    Examples:

      safr-study compare s1 s2

      safr-study compare s1 s2 s3 --out figures

      safr-study compare s1 s2 --json | jq '.studies[] | {study, hypervolume, share}'
    """
    from safr_study.features.compare import compare as run
    from safr_study.features.compare import (
        comparison_json,
        comparison_page,
        write_comparison,
    )

    comparison = run(studies, open_stores(home, storage=storage, reads=True), anyway=anyway)
    written = write_comparison(comparison, out) if out is not None else []
    if json:
        paths = [str(path) for path in written]
        output.print_json({**comparison_json(comparison), "written": paths})
        return
    page = comparison_page(comparison)
    output.show(*page.tables)
    for sentence in page.notes:
        output.out().print(sentence, soft_wrap=True)
    for path in written:
        output.err().print(f"wrote {path}", soft_wrap=True)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done, on a terminal alone."""
    console = output.err()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        yield lambda said: status.update(f"{said} ...")
