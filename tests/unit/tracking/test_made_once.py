"""What the tests make once in a process is what would be made each time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mlflow.store.db import utils
from sqlalchemy import NullPool, create_engine

from safr_study.home import open_home
from safr_study.tracking.store import open_store


def test_a_copied_database_is_one_that_was_migrated(tmp_path: Path) -> None:
    migrated = tmp_path / "migrated.db"
    # Below the copying, MLflow's own.
    utils._initialize_tables.__wrapped__(create_engine(f"sqlite:///{migrated}", poolclass=NullPool))
    for name in ("first", "second"):
        home = open_home(tmp_path / name)
        open_store(home)
        assert _tables(home.tracking_database) == _tables(migrated)
    assert len(_tables(migrated)[1]) > 50


def test_a_copied_database_is_empty(tmp_path: Path) -> None:
    for name in ("first", "second"):
        store = open_store(open_home(tmp_path / name))
        assert [one.name for one in store.client.search_experiments()] == ["Default"]
        store.client.create_experiment("mine")


def _tables(path: Path) -> tuple[list[object], dict[object, list[str]]]:
    """The schema's version, and each table's lines, whose order MLflow leaves to chance."""
    with closing(sqlite3.connect(path)) as file:
        version = file.execute("SELECT * FROM alembic_version").fetchall()
        schema = file.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    lines = {
        (kind, name): sorted(line.strip().rstrip(",") for line in (sql or "").splitlines())
        for kind, name, sql in schema
    }
    return version, lines
