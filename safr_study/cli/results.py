"""``pareto``, ``report`` and ``compare``: what studies found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import options, output
from safr_study.cli.completion import complete_study
from safr_study.cli.options import option, out_folder
from safr_study.cli.progress import Reporter
from safr_study.features.study_base.stores import open_stores
from safr_study.text import size

if TYPE_CHECKING:
    from safr_study.records import StudyResult

AnywayOption = Annotated[
    bool, option("Compare also studies of other data; it is said then.", "--anyway")
]
ROWS = 100
"""Rows of the ranking that are shown by default."""


def pareto(
    study: options.Study,
    out: Annotated[Path | None, out_folder("Folder for the pictures and tables.")] = None,
    rows: Annotated[int, option("Trials in the table, the best; 0: all.", min=0)] = ROWS,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """Rank all trials of a study: fronts, knee or compromise, hypervolume.

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
            output.print_json({**result_json(result), "written": written})
            return
        _show(result, rows or len(result.ranked))
    output.wrote(written)


def _show(result: StudyResult, rows: int) -> None:
    from safr_study.render.result_tables import ranking_table, result_notes
    from safr_study.render.verdict import verdict

    if (found := verdict(result)) is not None:
        output.say(found)
    if result.ranked:
        output.show(ranking_table(result, rows=rows))
    else:
        output.say(f"Study {result.name}: no trial is complete yet.")
    more = len(result.ranked) - rows
    if more > 0:
        output.say(f"{more:,} more trials; --rows 0 shows all, --out FOLDER writes all as CSV.")
    output.say(*result_notes(result))


def report(
    study: options.Study,
    out: Annotated[Path | None, option("The page; else STUDY-report.html.", dir_okay=False)] = None,
    others: Annotated[
        list[str] | None,
        option(
            "Set another study beside it; may be given again.",
            "--with",
            complete=complete_study,
            metavar="STUDY",
        ),
    ] = None,
    anyway: AnywayOption = False,
    quick: Annotated[
        bool, option("From the ledger alone: no curves over k, no example texts.", "--quick")
    ] = False,
    texts: Annotated[int, option("Example texts of dev on the page.", min=0, max=50)] = 6,
    causes: Annotated[
        bool,
        option("A scorecard with what neurons cause, and NAOPC; takes long.", "--causes"),
    ] = False,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """Write a study as one page: front, what matters, curves, explanations, provenance.

    The page needs no network, prints, and holds its numbers as JSON too. It shows a few dev texts,
    unless --quick or --texts 0 is given.

    Examples:

      safr-study report s1 --out report.html

      safr-study report s2 --with s1 --out s2.html

      safr-study report s1 --quick --json

      safr-study report s1 --causes
    """
    stores = open_stores(home, storage=storage, reads=True)
    with Reporter(output.err()) as progress:
        progress.doing(f"reading study {study}")
        from safr_study.features.report.page import write_report
        from safr_study.features.report.report import ReportRequest

        request = ReportRequest(
            study=study,
            out=out or Path(f"{study}-report.html"),
            others=tuple(others or ()),
            anyway=anyway,
            quick=quick,
            texts=texts,
            causes=causes,
        )
        facts = write_report(request, stores, say=progress.doing)
    if json:
        output.print_json(facts)
        return
    output.hint(*(f"note: {sentence}" for sentence in facts["missing"]))
    output.say(f"wrote {facts['written']} ({size(facts['bytes'])})")


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(
            help="Two studies or more (see safr-study list).",
            autocompletion=complete_study,
            metavar="STUDY STUDY...",
        ),
    ],
    out: Annotated[Path | None, out_folder("Folder for the picture and the table.")] = None,
    anyway: AnywayOption = False,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """Set studies beside each other: joint front, hypervolume from one point, what differs.

    Studies over other objectives have no common axes and are refused; those of other data are
    refused too, unless --anyway is given.

    Examples:

      safr-study compare s1 s2

      safr-study compare s1 s2 s3 --out figures

      safr-study compare s1 s2 --json | jq '.studies[] | {study, hypervolume, share}'
    """
    from safr_study.features.compare import (
        compare_studies,
        comparison_json,
        comparison_page,
        study_view,
        write_comparison,
    )

    stores = open_stores(home, storage=storage, reads=True)
    comparison = compare_studies([study_view(name, stores) for name in studies], anyway=anyway)
    written = write_comparison(comparison, out) if out is not None else []
    if json:
        output.print_json({**comparison_json(comparison), "written": written})
        return
    page = comparison_page(comparison)
    output.show(*page.tables)
    output.say(*page.notes)
    output.wrote(written)
