"""``models``, ``promote`` and ``pull``: the registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safr_study.cli import output
from safr_study.cli.options import (
    HomeOption,
    JsonOption,
    StorageOption,
    StudyArgument,
    TrackingOption,
    open_stores,
)


def list_models(
    json: JsonOption = False, home: HomeOption = None, tracking_uri: TrackingOption = None
) -> None:
    """List the registered models, their versions and aliases.

    Example:

      safr-study models
    """
    from safr_study.features.models import registered_models
    from safr_study.records import to_plain

    models = registered_models(open_stores(home, tracking_uri=tracking_uri, reads=True))
    if json:
        output.print_json({"models": to_plain(models)})
    elif models:
        from safr_study.render.result_tables import models_table

        output.show(models_table(models))
    else:
        output.out().print("No model yet; a finished search registers its front.")


def promote(
    study: StudyArgument,
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
    storage: StorageOption = None,
) -> None:
    """Register a study's front and move knee, best-accuracy and best-srs to it.

    Example:

      safr-study promote s1
    """
    from safr_study.features.models import promote_study
    from safr_study.records import to_plain

    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    models = promote_study(study, stores)
    if json:
        output.print_json({"models": to_plain(models)})
    else:
        from safr_study.render.result_tables import models_table

        output.show(models_table(models))


def pull(
    model: Annotated[
        str,
        typer.Argument(
            help="NAME, NAME@alias or NAME/version.",
            metavar="MODEL",
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="A new or empty folder.", file_okay=False)],
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Download a registered model, its checksums verified.

    Examples:

      safr-study pull safr-sst2@knee --to model

      safr-study pull safr-sst2/3 --to model
    """
    from safr_study.features.study_base.model_folder import pull_model

    folder = pull_model(model, to, open_stores(home, tracking_uri=tracking_uri, reads=True))
    if json:
        output.print_json({"model": model, "folder": str(folder)})
        return
    output.out().print(f"{model} is in {folder}")
    output.err().print(f"next: safr-study evaluate {folder}")
