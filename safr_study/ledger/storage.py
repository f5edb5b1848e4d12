"""Where ledgers are stored: a journal file for each study, or a database for all.

The journal file is Optuna's, never left half-written.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError
from optuna.storages.journal import JournalFileBackend

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.home import Home
from safr_study.ledger.address import LedgerAddress, no_database_url
from safr_study.text import first_line

logging.getLogger("optuna").setLevel(logging.WARNING)
_TABLES_LOCK = 0x73616672
"""Number of a PostgreSQL lock: ``safr`` in ASCII."""
_LOCK_SECONDS, _LOCK_LOOKS = 1.0, 10
"""A living writer holds the journal's lock for some milliseconds."""


def ledger_errors() -> tuple[type[Exception], ...]:
    """Errors of a ledger whose file or database does not answer."""
    # SQLAlchemy is slow to import, and a journal file does without it.
    from sqlalchemy.exc import SQLAlchemyError

    return OptunaError, SQLAlchemyError


def open_storage(
    home: Home, storage_url: str | None, study: str, *, create: bool
) -> optuna.storages.BaseStorage | None:
    """The storage that holds a study's ledger: a journal file of its own, or a database.

    Args:
        home: where journal files live.
        storage_url: SQLAlchemy URL, or ``None`` for the journal file.
        study: the study's name.
        create: make the journal file if there is none, and mend it if its last line is torn; for
            the one driver of the study.

    Returns:
        ``None`` if there is no journal file and none is to be made.

    Raises:
        ServiceUnreachable: the database gives no answer.
        BadInput: the URL or the file cannot be used.
    """
    if storage_url is None:
        path = home.ledger(study)
        if not path.exists() and not create:
            return None
        return _open_journal(path, mend=create)
    return open_database(storage_url, create=create)


def open_database(url: str, *, create: bool = False) -> optuna.storages.BaseStorage:
    """An Optuna storage in a database.

    Args:
        url: SQLAlchemy's.
        create: others may be making its tables at this moment too; for drivers.

    Raises:
        ServiceUnreachable: the database gives no answer.
        BadInput: the URL is none, or its driver is not installed.
    """
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    kind = LedgerAddress.parse(url).kind
    options = {} if kind == "sqlite" else {"pool_pre_ping": True, "pool_size": 2}
    alone = _making_tables_alone if create and kind == "postgres" else contextlib.nullcontext
    faults: tuple[type[Exception], ...] = (*ledger_errors(), RuntimeError)
    try:
        with alone(url):
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise no_database_url(error) from None
    except faults as error:
        raise ServiceUnreachable(
            f"storage: the ledger's database does not answer as one ({first_line(error)}); check "
            "that it runs, that address and rights are right, and that it holds nothing but ledgers"
        ) from None


@contextlib.contextmanager
def _making_tables_alone(url: str) -> Iterator[None]:
    """One process at a time, as studies that begin at once in an empty database would collide."""
    from sqlalchemy import NullPool, create_engine, text

    # The lock ends with the transaction, hence with the connection.
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_TABLES_LOCK})"))
        yield


def home_of(storage: optuna.storages.BaseStorage) -> Home | None:
    """The home in which a journal is; ``None``: a database, which may serve several."""
    file = getattr(storage, "_backend", None)
    return Home(file.path.parent.parent) if isinstance(file, JournalFile) else None


def close_storage(storage: optuna.storages.BaseStorage | None) -> None:
    """Let go of a database's connections, where one was only looked at."""
    if isinstance(storage, optuna.storages.RDBStorage):
        storage.remove_session()
        storage.engine.dispose()


def generations(storage: optuna.storages.BaseStorage, name: str) -> list[tuple[int, Any]]:
    """The stored generations of a study with their numbers, oldest first, half-made ones too."""
    numbered = []
    for stored in storage.get_all_studies():
        base, _, number = stored.study_name.partition("~")
        if base == name:
            numbered.append((int(number or 1), stored))
    return sorted(numbered, key=lambda pair: pair[0])


def stored_studies(home: Home, storage_url: str | None) -> list[str]:
    """Names of all studies, sorted."""
    if storage_url is None:
        return sorted(path.stem for path in (home.root / "ledgers").glob("*.journal"))
    storage = open_database(storage_url)
    names = {stored.study_name.partition("~")[0] for stored in storage.get_all_studies()}
    close_storage(storage)
    return sorted(names)


def _open_journal(path: Path, *, mend: bool) -> optuna.storages.BaseStorage:
    try:
        if mend:
            path.parent.mkdir(parents=True, exist_ok=True)
        if mend and path.exists():
            _drop_dead_lock(path)
            _drop_torn_line(path)
        return optuna.storages.JournalStorage(JournalFile(path))
    except OSError as error:
        raise BadInput(
            "study",
            f"the ledger {path} cannot be {'written' if mend else 'read'} ({error.strerror}); "
            "check the rights of file and folder",
        ) from error
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise BadInput(
            "study",
            f"the ledger {path} cannot be read ({type(error).__name__}: {first_line(error)}); "
            "move it away to begin anew",
        ) from error


class JournalFile(JournalFileBackend):
    """Optuna's file, which stays as it was when a write fails.

    A write that fails for want of room would leave half a line, to which the next one is glued.
    """

    def __init__(self, path: Path) -> None:
        """Open a journal, or begin an empty one, in a folder that exists."""
        self.path = path
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records to the disk, all of them, or raise ``OSError`` and write none."""
        if not logs:
            # Optuna would write an empty line.
            return
        try:
            super().append_logs(logs)
        except OSError:
            with contextlib.suppress(OSError):
                _drop_torn_line(self.path)
            raise


def _drop_dead_lock(path: Path) -> None:
    """Take away the lock of a writer that was killed; Optuna's own would hold for half a minute.

    Beside the one driver only requests are written, and none of them takes as long as this waits.
    """
    lock = path.with_name(f"{path.name}.lock")
    for _ in range(_LOCK_LOOKS):
        if not lock.is_symlink():
            return
        time.sleep(_LOCK_SECONDS / _LOCK_LOOKS)
    lock.unlink(missing_ok=True)


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that a full disk or a kill left half-written.

    The next line would be glued to it, and no line after that could be read.
    """
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
