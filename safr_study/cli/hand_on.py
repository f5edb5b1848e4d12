"""``export`` and ``import``: a study as one file, for somebody else."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import options, output
from safr_study.cli.completion import complete_archive
from safr_study.cli.options import check_study, option
from safr_study.cli.progress import Reporter
from safr_study.errors import ServiceUnreachable, StudyInterrupted
from safr_study.features.study_base.stores import open_stores
from safr_study.text import plural, size

if TYPE_CHECKING:
    from safr_study.features.hand_on.import_study import Imported


def export(
    study: options.Study,
    out: Annotated[Path | None, option("The file; else STUDY.zip.", dir_okay=False)] = None,
    force: Annotated[bool, option("Replace the file where it is there.", "--force")] = False,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """Write a study as one file to hand on: ledger, models, confirmations, a page, checksums.

    It has no text of the data, no pickle, no address and no path of this machine. Its own
    description is RO-Crate (the files) and Croissant (a fingerprint of the data). The same study
    gives the same bytes.

    Examples:

      safr-study export s1 --out s1.zip

      safr-study export s1 --json | jq .missing
    """
    stores = open_stores(home, storage=storage, reads=True)
    try:
        with Reporter(output.err()) as progress:
            progress.doing(f"reading study {study}")
            from safr_study.features.hand_on.export import export_study

            to = out or Path(f"{study}.zip")
            say = progress.doing
            done = export_study(
                study, to, stores, force=force, say=lambda what: say(what, lines=True)
            )
    except KeyboardInterrupt:
        raise StudyInterrupted(
            "interrupted: nothing was written; the same command begins again"
        ) from None
    if json:
        output.print_json(done)
        return
    if done.missing:
        output.hint(f"note: these models are no longer there: {', '.join(done.missing)}")
    output.say(
        f"wrote {done.written} ({size(done.bytes)}): the ledger, {plural(done.models, 'model')}, "
        "a page"
    )
    output.hint(f"Elsewhere: {shlex.join(['safr-study', 'import', done.written.name])}")


def import_study(
    file: Annotated[
        Path,
        typer.Argument(
            help="Written by safr-study export.", autocompletion=complete_archive, metavar="FILE"
        ),
    ],
    name: Annotated[
        str | None,
        option(
            "Name of the study here, where its own is taken.",
            "--as",
            callback=check_study,
            metavar="NAME",
        ),
    ] = None,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Take a study that somebody exported into this home: ledger, models, runs, versions.

    All of the file is checked before anything is written: names, sizes, checksums, every trial and
    every model. A file that was changed or cut off leaves nothing.

    Exit codes: 0 it is here; 2 no whole file, or a study of that name is here; 4 it is here, and
    the tracking server lacks something, or a service does not answer.

    Examples:

      safr-study import s1.zip

      safr-study import s1.zip --as s1-of-ann --home elsewhere
    """
    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, begins=True)
    with Reporter(output.err()) as progress:
        progress.doing(f"reading {file}")
        from safr_study.features.hand_on.import_study import import_study as run

        say = progress.doing
        done = run(file, stores, name=name, say=lambda what: say(what, lines=True))
    if json:
        output.print_json(done)
    else:
        output.say(_sentence(done))
    if done.synced.missing is not None:
        again = shlex.join(["safr-study", "sync", done.study])
        raise ServiceUnreachable(
            f"study {done.study!r} is imported, but {done.synced.missing}; try again: {again}"
        )


def _sentence(done: Imported) -> str:
    found = f"{plural(done.trials, 'trial')}, {plural(done.models, 'model')}"
    runs = plural(done.synced.runs, "run")
    versions = plural(len(done.synced.models), "registered version")
    return f"Study {done.study} is here: {found}; in MLflow {runs}, {versions}."
