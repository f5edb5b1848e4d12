"""What a process of users makes once, and a process of tests would make for each of its tests.

The tree of the commands, the planted texts, MLflow's newest schema, and a new tracking database:
the first is made as always, and the others are it or a copy of it.
"""

from __future__ import annotations

import functools
import sqlite3
import sys
from typing import Any

_MLFLOW = "mlflow.store.db.utils"
_PURE = {
    "typer.main": "get_command",
    "safr_study.data.loading": "planted_corpus",
    _MLFLOW: "_get_latest_schema_revision",
}
"""By module, a function that gives equal things for equal arguments."""


def make_once() -> None:
    """Do it for the libraries that are imported by now."""
    for name, function in _PURE.items():
        module: Any = sys.modules.get(name)
        if module is not None and not hasattr(getattr(module, function), "cache_clear"):
            setattr(module, function, functools.cache(getattr(module, function)))
            if name == _MLFLOW:
                module._initialize_tables = _copying(module)


def _copying(mlflow: Any) -> Any:
    """MLflow's migration, which is copied into every empty SQLite file after the first."""
    migrate = mlflow._initialize_tables
    template = sqlite3.connect(":memory:", check_same_thread=False)

    @functools.wraps(migrate)
    def initialize(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or not mlflow._is_empty_database(engine):
            migrate(engine)
            return
        filled = bool(template.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if not filled:
            migrate(engine)
        with engine.connect() as connection:
            file = connection.connection.driver_connection
            source, target = (template, file) if filled else (file, template)
            source.backup(target)

    return initialize
