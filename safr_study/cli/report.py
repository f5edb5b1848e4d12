"""``report`` and ``compare``: a study as one page, and studies beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from safr_study.cli import output
from safr_study.cli.completion import complete_study
from safr_study.cli.options import (
    HomeOption,
    JsonOption,
    StorageOption,
    StudyArgument,
    open_stores,
)

AnywayOption = Annotated[
    bool, typer.Option("--anyway", help="Compare also studies of other data; it is said then.")
]


def report(
    study: StudyArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page; else STUDY-report.html.", dir_okay=False),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="Set another study beside it; may be given again.",
            autocompletion=complete_study,
            metavar="STUDY",
        ),
    ] = None,
    anyway: AnywayOption = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="From the ledger alone: no curves over k, no example texts."),
    ] = False,
    texts: Annotated[
        int, typer.Option("--texts", min=0, max=50, help="Example texts of dev on the page.")
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
    from safr_study.features.report.report import ReportRequest, write_report

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
    output.out().print(f"wrote {written.path} ({output.size(written.bytes)})", soft_wrap=True)


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
        Path | None,
        typer.Option("--out", help="Folder for the picture and the table.", file_okay=False),
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
    from safr_study.features.compare.compare import compare as run
    from safr_study.features.compare.view import (
        comparison_json,
        comparison_page,
        write_comparison,
    )

    found = run(studies, open_stores(home, storage=storage, reads=True), anyway=anyway)
    written = write_comparison(found, out) if out is not None else []
    if json:
        paths = [str(path) for path in written]
        output.print_json({**comparison_json(found), "written": paths})
        return
    page = comparison_page(found)
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
