"""What a shell offers after Tab: at once, without torch, Ray or MLflow, and silent on errors.

Nothing is made or changed by it, and a service that is slow offers nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from safr_study.home import DEFAULT_HOME, HOME_VARIABLE, Home

_SECONDS = 1.0
"""Patience with a tracking server."""
_MANIFEST = "model.json"
"""Of a pulled model's folder."""


def complete_study(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the studies in the home."""
    ledgers = (_home(ctx).root / "ledgers").glob("*.journal")
    return _matching((path.stem for path in ledgers), incomplete)


def complete_dataset(incomplete: str) -> list[str]:
    """Data sets that have a name, and files that can be read."""
    from safr_study.data.catalogue import SUFFIXES, known_datasets

    names = [name for name, _, _ in known_datasets()]
    return _matching([*names, *_files(incomplete, SUFFIXES)], incomplete)


def complete_space(incomplete: str) -> list[str]:
    """Search spaces that come with the package, and YAML files."""
    from safr_study.settings.space_files import built_in_spaces

    return _matching([*built_in_spaces(), *_files(incomplete, (".yaml", ".yml"))], incomplete)


def complete_metric(incomplete: str) -> list[str]:
    """Metrics that can be objectives; those of a deletion at the paper's k."""
    from safr_study.settings.metrics import AT_K, OF_MODEL

    return _matching([*OF_MODEL, *(f"{name}@30" for name in AT_K)], incomplete)


def complete_registered(ctx: typer.Context, incomplete: str) -> list[str]:
    """Registered models with their aliases, ``safr-sst2@knee``, with or without ``models:/``."""
    scheme = "models:/" if incomplete.startswith("models:") else ""
    return _matching((f"{scheme}{name}" for name in _registered(ctx)), incomplete)


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """Registered models, and folders of pulled ones."""
    base = Path(incomplete or ".").expanduser()
    parent = base if incomplete.endswith("/") or not incomplete else base.parent
    with contextlib.suppress(OSError):
        folders = [str(path.parent) for path in parent.glob(f"*/{_MANIFEST}")]
        return [*_matching(folders, incomplete), *complete_registered(ctx, incomplete)]
    return complete_registered(ctx, incomplete)


def _registered(ctx: typer.Context) -> list[str]:
    uri = str(ctx.params.get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI") or "")
    # Whatever is wrong with the store: Tab has no place to say so.
    with contextlib.suppress(Exception):
        if uri.startswith(("http://", "https://")):
            return _of_server(uri)
        if not uri:
            return _of_database(_home(ctx).tracking_database)
    return []


def _of_database(path: Path) -> list[str]:
    """From the embedded store's own tables, as MLflow takes seconds to import."""
    query = "select name, alias from registered_model_aliases order by name, alias"
    # Read only: a missing file is not made.
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return [f"{name}@{alias}" for name, alias in database.execute(query)]


def _of_server(uri: str) -> list[str]:
    url = f"{uri.rstrip('/')}/api/2.0/mlflow/registered-models/search?max_results=100"
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
        found: dict[str, Any] = json.load(answer)
    return [
        f"{model['name']}@{alias['alias']}"
        for model in found.get("registered_models", [])
        for alias in model.get("aliases", [])
    ]


def _home(ctx: typer.Context) -> Home:
    """As `open_home` finds it, but it is not made."""
    chosen = ctx.params.get("home") or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
    return Home(Path(chosen).expanduser().resolve())


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    folder, _, start = incomplete.rpartition("/")
    place = Path(folder or ("/" if incomplete.startswith("/") else ".")).expanduser()
    with contextlib.suppress(OSError):
        return [
            f"{folder}/{path.name}" if "/" in incomplete else path.name
            for path in place.iterdir()
            if path.name.startswith(start) and path.suffix.lower() in suffixes
        ]
    return []


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
