"""A lock in PostgreSQL that the server itself releases when its holder is gone."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator

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
    "SELECT CAST(l.classid AS bigint), CAST(l.objid AS bigint), a.application_name "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class AdvisoryLock:
    """The lock of one study in the database of its ledger, on a connection of its own.

    It belongs to the session: whatever ends the connection, the holder's death too, releases it. A
    proxy that shares sessions among its clients (pgbouncer in transaction mode) breaks this: give
    the address of the server itself.
    """

    def __init__(self, url: str, study: str) -> None:
        self._url = url
        self._key = _key(study)
        self._connection: Connection | None = None

    def take(self, holder: str) -> bool:
        """Take it, unless another driver has it.

        Args:
            holder: a text that others get to see next to it.

        Raises:
            ServiceUnreachable: the database does not answer.
        """
        with _answering():
            connection = _engine(self._url).connect()
            settings = {**_SESSION, "application_name": _cut(holder)}
            for name, value in settings.items():
                connection.execute(
                    text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value}
                )
            end = time.monotonic() + PATIENCE_SECONDS
            taken = self._try(connection)
            while not taken and time.monotonic() < end:
                time.sleep(0.05)
                taken = self._try(connection)
        if taken:
            self._connection = connection
        else:
            connection.close()
        return taken

    def still_held(self) -> bool:
        """Whether its session lives; one that has ended, whatever ended it, has lost the lock.

        It is not taken again: another driver may have had it meanwhile, and written.
        """
        try:
            if self._connection is not None:
                self._connection.execute(text("SELECT 1"))
                return True
        except SQLAlchemyError:
            self._drop()
        return False

    def release(self) -> None:
        """Give it back, at once."""
        if self._connection is None:
            return
        # A server that is gone has released it.
        with contextlib.suppress(SQLAlchemyError):
            self._connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
        self._drop()

    def _try(self, connection: Connection) -> bool:
        statement = text("SELECT pg_try_advisory_lock(:key)")
        return bool(connection.execute(statement, {"key": self._key}).scalar_one())

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None


def held_locks(url: str, studies: list[str]) -> dict[str, str]:
    """Which of these studies are held in this database, and the text of each holder.

    Raises:
        ServiceUnreachable: the database does not answer.
    """
    keys = {_key(study): study for study in studies}
    with _answering(), _engine(url).connect() as connection:
        rows = connection.execute(_HELD).all()
    found = {_signed(high << 32 | low): str(name or "") for high, low, name in rows}
    return {study: found[key] for key, study in keys.items() if key in found}


def _key(study: str) -> int:
    """The 64 signed bits by which PostgreSQL knows a lock."""
    digest = hashlib.sha256(f"safr-study:{study}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _signed(bits: int) -> int:
    return bits - (1 << 64) if bits >= 1 << 63 else bits


def _cut(holder: str) -> str:
    return holder.encode("ascii", "replace")[:_NAME_BYTES].decode("ascii")


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
