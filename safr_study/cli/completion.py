"""What a shell offers after Tab: at once, without torch, Ray or MLflow, and silent on errors.

Nothing is made or changed by it, and no service is asked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import typer

from safr_study.home import DEFAULT_HOME, HOME_VARIABLE, Home

_MANIFEST = "model.json"
"""File in a pulled model's folder."""


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
    from safr_study.settings.metrics import AT_K, OF_MODEL, SYNONYMS

    return _matching([*OF_MODEL, *SYNONYMS, *(f"{name}@30" for name in AT_K)], incomplete)


def complete_model(incomplete: str) -> list[str]:
    """Folders of pulled models."""
    base = Path(incomplete or ".").expanduser()
    parent = base if incomplete.endswith("/") or not incomplete else base.parent
    with contextlib.suppress(OSError):
        return _matching([str(path.parent) for path in parent.glob(f"*/{_MANIFEST}")], incomplete)
    return []


def complete_archive(incomplete: str) -> list[str]:
    """Exported studies, by the end of their names."""
    return _matching(_files(incomplete, (".zip",)), incomplete)


def _home(ctx: typer.Context) -> Home:
    """The home that `open_home` finds; it is not made."""
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
