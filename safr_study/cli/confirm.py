"""``confirm``: is the front still the front under new seeds?"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from safr_study.cli import options, output
from safr_study.cli.options import option, out_folder
from safr_study.cli.progress import Reporter
from safr_study.features.study_base.stores import open_stores
from safr_study.render.text_table import TextTable

if TYPE_CHECKING:
    from safr_study.features.confirm.plan import ConfirmOutcome, ConfirmRequest
    from safr_study.features.study_base.stores import Stores


def confirm(
    study: options.Study,
    seeds: Annotated[int, option("New ones for each trial, at least 2.", min=2)] = 5,
    test: Annotated[bool, option("Read the test set once, at the end.", "--test/--no-test")] = True,
    out: Annotated[Path | None, out_folder("Folder for .md, .csv, .png and .svg.")] = None,
    max_concurrent: Annotated[int | None, option("Runs at once.", min=1, panel="Resources")] = None,
    address: options.Address = None,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Train a study's front and baselines anew with new seeds, and move its aliases to what stays.

    The front was selected on single numbers, so these are too good. Confirm gives means with
    intervals over seeds that the search did not use, the probability of being on the front, and
    then, once, the test set. A finished run is kept and not paid for twice; an interrupted command
    goes on when it is given again, and --seeds 8 after --seeds 5 runs three more.

    Examples:

      safr-study confirm s1

      safr-study confirm s1 --seeds 5 --dry-run

      safr-study confirm s1 --seeds 10 --out figures
    """
    from safr_study.features.confirm.plan import ConfirmRequest

    request = ConfirmRequest(study, seeds, max_concurrent, test)
    stores = open_stores(
        home, tracking_uri=tracking_uri, storage=storage, address=address, resumes=True
    )
    if dry_run:
        _dry_run(request, stores, as_json=json)
        return
    from safr_study.features.confirm.confirm import confirm as run

    outcome = run(request, stores, say=Reporter(None if quiet else output.err()).say)
    _show(outcome, out, as_json=json)
    if (fault := outcome.fault) is not None:
        raise fault


def _dry_run(request: ConfirmRequest, stores: Stores, *, as_json: bool) -> None:
    from safr_study.features.confirm.confirm import plan_confirmation
    from safr_study.records import picked

    plan = plan_confirmation(request, stores, cpus=float(os.cpu_count() or 1), gpus=0.0)
    if as_json:
        output.print_json(
            {
                "study": plan.study,
                "trials": [{"trial": t.number, "label": t.label} for t in plan.trials],
                **picked(plan, "seeds", "wanted"),
                "missing": [{"trial": number, "seed": seed} for number, seed in plan.missing],
                "allotment": plan.slots,
                **picked(plan, "seconds", "disk_bytes", "test_texts"),
                "test_models": plan.unread,
            }
        )
        return
    output.say(*plan.lines())
    if plan.missing:
        runs = Counter(number for number, _ in plan.missing)
        rows = [(str(one.number), one.label, str(runs[one.number])) for one in plan.trials]
        output.show(TextTable("Runs that are missing", (">trial", "setting", ">runs"), rows))


def _show(outcome: ConfirmOutcome, out: Path | None, *, as_json: bool) -> None:
    from safr_study.features.confirm.output import confirmation_json, write_confirmation
    from safr_study.features.confirm.view import confirmation_page
    from safr_study.render.result_tables import models_table

    confirmation = outcome.found
    written = write_confirmation(confirmation, out) if out is not None else []
    if as_json:
        output.print_json(
            {
                **confirmation_json(confirmation),
                "models": outcome.models,
                "problem": None if outcome.problem is None else str(outcome.problem),
                "unmeasured": outcome.unmeasured,
                "written": written,
            }
        )
        return
    output.show_page(confirmation_page(confirmation, wide=False))
    if outcome.models:
        output.out().print()
        output.show(models_table(outcome.models))
        output.out().print(
            "Each version is the trial's typical run, the one nearest to its means on dev: not a "
            "lucky one. The means and intervals are its tags."
        )
    output.wrote(written)
