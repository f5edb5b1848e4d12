"""A lock in PostgreSQL that the server itself releases when its holder is gone."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from safr_study.errors import ServiceUnreachable
from safr_study.ledger.storage import open_database
from safr_study.text import first_line

PATIENCE_SECONDS = 1.0
"""The server needs a moment to notice that the last holder was killed."""
_WAITS = {"connect_timeout": 10, "tcp_user_timeout": 30_000}
"""Seconds to be answered at first, milliseconds later on; as libpq calls them."""
_NAME_BYTES = 63
"""PostgreSQL cuts the name of an application after as many."""
_SESSION = {
    # A machine that loses its power closes no connection: the server asks after it, and frees the
    # lock about a minute later.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_HELD = text(
    "SELECT (CAST(l.classid AS bigint) << 32) | CAST(l.objid AS bigint), a.application_name "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@contextlib.contextmanager
def advisory_lock(url: str, study: str, holder: str) -> Iterator[Callable[[], bool] | None]:
    """Hold the lock of one study in the database of its ledger, on a connection of its own.

    It belongs to the session: whatever ends the connection, the holder's death too, releases it. A
    proxy that shares sessions among its clients (pgbouncer in transaction mode) breaks this: give
    the address of the server itself.

    Args:
        url: of the database.
        study: its name.
        holder: a text that others get to see next to it.

    Yields:
        Says whether the session lives; one that has ended, whatever ended it, has lost the lock. It
        is not taken again: another driver may have had it meanwhile, and written. ``None``: another
        driver has it.

    Raises:
        ServiceUnreachable: the database does not answer.
    """
    with _answering():
        connection = _engine(url).connect()
    try:
        with _answering():
            taken = _take(connection, _key(study), holder)
        yield (lambda: _lives(connection)) if taken else None
    finally:
        # A server that is gone has released it.
        with contextlib.suppress(SQLAlchemyError):
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
        _close(connection)


def _take(connection: Connection, key: int, holder: str) -> bool:
    name = holder.encode("ascii", "replace")[:_NAME_BYTES].decode("ascii")
    for setting, value in {**_SESSION, "application_name": name}.items():
        given = {"name": setting, "value": value}
        connection.execute(text("SELECT set_config(:name, :value, false)"), given)
    end = time.monotonic() + PATIENCE_SECONDS
    statement = text("SELECT pg_try_advisory_lock(:key)")
    while not (taken := bool(connection.execute(statement, {"key": key}).scalar_one())):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return taken


def _lives(connection: Connection) -> bool:
    try:
        connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        # One that is left open would connect again, without the lock.
        _close(connection)
        return False
    return True


def _close(connection: Connection) -> None:
    with contextlib.suppress(SQLAlchemyError):
        connection.close()


def held_locks(url: str, studies: list[str]) -> dict[str, str]:
    """Which of these studies are held in this database, and the text of each holder.

    Raises:
        ServiceUnreachable: the database does not answer.
    """
    keys = {_key(study): study for study in studies}
    with _answering(), _engine(url).connect() as connection:
        rows = connection.execute(_HELD).all()
    found = {key: str(name or "") for key, name in rows}
    return {study: found[key] for key, study in keys.items() if key in found}


def _key(study: str) -> int:
    """The 64 signed bits by which PostgreSQL knows a lock."""
    digest = hashlib.sha256(f"safr-study:{study}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        libpq = parsed.get_driver_name().startswith("psycopg")
        return create_engine(
            parsed,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=_WAITS if libpq else {},
        )
    except (ArgumentError, NoSuchModuleError, ImportError):
        open_database(url)  # Says what is wrong with it.
        raise


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise ServiceUnreachable(
            f"storage: the ledger's database does not answer ({first_line(error)}); check that it "
            "runs, and that address and rights are right"
        ) from None
