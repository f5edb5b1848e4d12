"""A database of its own on a PostgreSQL server, for the tests that need one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

VARIABLE = "SAFR_STUDY_TEST_POSTGRES"
"""URL of a server on which databases may be made."""
DEFAULT = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database; skips the test where there is no server."""
    server = os.environ.get(VARIABLE, DEFAULT)
    name = f"safr_{uuid.uuid4().hex[:12]}"
    try:
        engine = create_engine(
            server,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 3},
        )
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except (SQLAlchemyError, ImportError):
        pytest.skip(f"no PostgreSQL server to make a database on; give its URL in {VARIABLE}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
