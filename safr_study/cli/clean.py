"""``clean``: free the disk of what will not be read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.errors import BadInput
from safr_study.features.study_base.stores import open_stores
from safr_study.render.text_table import TextTable
from safr_study.text import size

if TYPE_CHECKING:
    from safr_study.features.clean import Cleaning
    from safr_study.features.study_base.stores import Stores


def clean(
    study: options.AnyStudy = None,
    models: Annotated[
        bool, option("Models off the front of finished studies too.", "--models")
    ] = False,
    caches: Annotated[
        bool, option("Encoded data sets too; they are made again.", "--caches")
    ] = False,
    yes: Annotated[bool, option("Remove without asking.", "--yes")] = False,
    dry_run: Annotated[
        bool, option("Say what would be freed, and free nothing.", "--dry-run")
    ] = False,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """Free disk: running states of ended trials, scratch of dead runs, orphaned checkpoints.

    Nothing of a running study goes, nor any model of a front or a baseline, nor a registered
    version. Rankings and tables stay as they are.

    Examples:

      safr-study clean --dry-run

      safr-study clean s1 --models

      safr-study clean --caches --yes
    """
    from safr_study.features.clean import CleanRequest, plan_cleaning
    from safr_study.features.clean import clean as run

    if json and not (yes or dry_run):
        raise BadInput("yes", "with --json nobody is asked; give --yes or --dry-run")
    if study is not None and caches:
        raise BadInput("caches", "belong to no study; leave its name out")
    stores = open_stores(home, storage=storage, resumes=True)
    request = CleanRequest(study=study, models=models, caches=caches)
    plan = plan_cleaning(request, stores)
    if json:
        done = plan if dry_run else run(plan, request, stores)
        removed = [
            {"path": one.path, "what": one.what, "study": one.study, "bytes": one.size}
            for one in done.removals
        ]
        document = {"bytes": done.size, "kept": done.kept, "failed": done.failed}
        output.print_json({"dry_run": dry_run, "removed": removed, **document})
    else:
        _show(plan, stores)
        if dry_run or not plan.removals:
            return
        if not yes and not _agreed(plan):
            output.err().print("nothing was removed")
            return
        done = run(plan, request, stores)
        output.hint(*(f"kept: {sentence}" for sentence in done.kept[len(plan.kept) :]))
        output.say(f"Freed {size(done.size)}.")
    if done.failed:
        raise BadInput("home", f"not everything could be removed: {'; '.join(done.failed)}")


def _show(plan: Cleaning, stores: Stores) -> None:
    output.hint(*(f"kept: {sentence}" for sentence in plan.kept))
    if not plan.removals:
        output.say("There is nothing to free.")
        return
    root = stores.home.root
    rows = [
        (str(removal.path.relative_to(root)), removal.what, size(removal.size))
        for removal in plan.removals
    ]
    output.show(TextTable(f"In {root}", ("folder", "what it is", ">size"), rows))
    output.out().print(f"{size(plan.size)} in all.")


def _agreed(plan: Cleaning) -> bool:
    try:
        return typer.confirm(f"Free {size(plan.size)}?", err=True)
    except typer.Abort:
        output.err().print()  # The question has left its line open.
        raise BadInput("yes", "nobody answered, and nothing was removed; give --yes") from None
