"""``models``, ``promote``, ``pull`` and ``sync``: what MLflow has of the studies."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.errors import ServiceUnreachable
from safr_study.features.study_base.stores import open_stores
from safr_study.records import RegisteredModel
from safr_study.text import plural

if TYPE_CHECKING:
    from safr_study.features.sync import Synced


def list_models(
    json: options.Json = False, home: options.Home = None, tracking_uri: options.Tracking = None
) -> None:
    """List the registered models, their versions and aliases.

    Example:

      safr-study models
    """
    from safr_study.features.models import registered_models

    stores = open_stores(home, tracking_uri=tracking_uri, reads=True)
    _show(registered_models(stores), as_json=json)


def promote(
    study: options.Study,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Register a study's front and move knee or compromise, best-accuracy and best-srs to it.

    Example:

      safr-study promote s1
    """
    from safr_study.features.models import promote_study

    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, resumes=True)
    _show(promote_study(study, stores), as_json=json)


def _show(models: Sequence[RegisteredModel], *, as_json: bool) -> None:
    from safr_study.render.result_tables import models_table

    if as_json:
        output.print_json({"models": models})
    elif models:
        output.show(models_table(models))
    else:
        output.out().print("No model yet; a finished search registers its front.")


def pull(
    model: Annotated[
        str, typer.Argument(help="NAME, NAME@alias or NAME/version.", metavar="MODEL")
    ],
    to: Annotated[Path, option("A new or empty folder.", file_okay=False)],
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
) -> None:
    """Download a registered model, its checksums verified.

    Examples:

      safr-study pull safr-sst2@knee --to model

      safr-study pull safr-sst2/3 --to model
    """
    from safr_study.features.study_base.stores import pull_model

    folder = pull_model(model, to, open_stores(home, tracking_uri=tracking_uri, reads=True))
    if json:
        output.print_json({"model": model, "folder": folder})
        return
    output.out().print(f"{model} is in {folder}")
    output.err().print(f"next: safr-study evaluate {folder}")


def sync(
    study: options.AnyStudy = None,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
) -> None:
    """Bring to MLflow what it lacks of a study: runs, metrics, files and models.

    All of it is made from the study's ledger, also when the process that ran the study is gone.
    What is there already is not written again. Without a name: every study of which MLflow lacks
    something. Without an address: where the study was tracked.

    Exit codes: 0 MLflow has everything; 2 no such study, or somebody runs it; 4 the server does not
    take it.

    Examples:

      safr-study sync s1

      safr-study sync --tracking-uri http://mlflow:5000
    """
    from safr_study.features.sync import sync_study, unsynced

    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, resumes=True)
    names = [study] if study is not None else unsynced(stores)
    synced = [sync_study(name, stores) for name in names]
    if json:
        output.print_json({"studies": synced})
    else:
        nothing = ["MLflow has everything of every study here."]
        output.say(*(map(_sentence, synced) if synced else nothing))
    missing = [one.missing for one in synced if one.missing is not None]
    if missing:
        again = shlex.join(["safr-study", "sync", *([study] if study else [])])
        raise ServiceUnreachable(f"{'; '.join(missing)}; try again: {again}")


def _sentence(synced: Synced) -> str:
    if synced.missing is not None:
        return f"Study {synced.study}: {synced.to} still lacks something of it."
    written = f"{synced.points} metric points written" if synced.points else "nothing was missing"
    count = len(synced.models)
    models = f"; its front is registered, {plural(count, 'model')}" if count else ""
    runs = f"all of its {synced.runs} runs are in {synced.to}"
    return f"Study {synced.study}: {runs}, {written}{models}."
