"""An embedded MLflow store whose home was moved: MLflow keeps the absolute paths of artifacts."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from safr_study.home import Home

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
"""Columns of MLflow's database that hold an artifact's address."""
_OURS = "SELECT DISTINCT artifact_location FROM experiments WHERE name LIKE 'safr/%'"


def present_place(home: Home, place: str) -> str:
    """Where an artifact of the home's store is now.

    Args:
        home: the home.
        place: its address in the store, ``file:///OLD/artifacts/...``; another stays as it is.
    """
    root = _root_of(place, home)
    return place if root is None else _address(home) + place[len(root) :]


def follow_home(home: Home) -> None:
    """Let the store name the artifacts where they are now, if the home was moved since.

    Otherwise MLflow would make the old folder anew and write there. A store that may only be read
    stays as it is; `present_place` is for its readers.
    """
    with contextlib.suppress(sqlite3.Error), _opened(home) as database:
        places = [place for (place,) in database.execute(_OURS)]
        roots = {root for place in places if (root := _root_of(place, home)) is not None}
        for root in roots - {_address(home)}:
            begins = f"{root}/{home.artifacts.name}/"
            for table, column in _PLACES:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (_address(home), len(root) + 1, len(begins), begins),
                )
        database.commit()


@contextlib.contextmanager
def _opened(home: Home) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(home.tracking_database)) as database:
        yield database


def _root_of(place: str, home: Home) -> str | None:
    """The part of the address of an experiment, or of a model, that is its home's."""
    root, found, _ = place.rpartition(f"/{home.artifacts.name}/")
    return root if found and root.startswith("file:") else None


def _address(home: Home) -> str:
    return home.root.as_uri()
