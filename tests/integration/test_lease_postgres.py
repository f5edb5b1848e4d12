"""One driver per study on two machines that share a PostgreSQL ledger."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import database
from sqlalchemy import NullPool, create_engine, text
from stored_study import ask, begin, study_spec
from study_holder import holder

from safr_study.errors import BadInput, LockLost
from safr_study.features.search.status import stop_study, study_status
from safr_study.features.study_base.results import list_studies
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import driver_lock, driver_of, drivers
from safr_study.ledger.postgres_lock import advisory_lock, held_locks
from safr_study.ledger.storage import close_storage

pytestmark = pytest.mark.cluster


@pytest.fixture
def url() -> Iterator[str]:
    with database() as made:
        yield made


@pytest.fixture
def here(tmp_path: Path) -> Home:
    return open_home(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Home:
    """The home of another machine."""
    return open_home(tmp_path / "there")


def run_sql(url: str, statement: str) -> None:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.execute(text(statement))
        connection.commit()


def end_other_sessions(url: str) -> None:
    """As a restart of the server does."""
    run_sql(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def test_a_second_machine_is_refused_and_told_who_the_first_is(
    here: Home, there: Home, url: str
) -> None:
    with holder(there.root, "s", url) as first:
        with pytest.raises(BadInput) as refused, driver_lock(here, "s", url):
            pass
        assert f"PID {first.pid} on {socket.gethostname()}" in str(refused.value)
        assert list(drivers(here, ["r", "s"], url)) == ["s"]
        with driver_lock(here, "other", url) as lease:
            mine = driver_of(there, "other", url)
            assert mine is not None
            assert (mine.host, mine.pid, mine.token) == (
                socket.gethostname(),
                os.getpid(),
                lease.token,
            )
        # The refused one holds nothing in its own home either.
        with driver_lock(here, "s"):
            pass


@pytest.mark.parametrize("then", ["wait", "leave"])
def test_a_killed_holder_never_blocks_the_next_start(
    here: Home, there: Home, url: str, then: str
) -> None:
    with holder(there.root, "s", url, then) as process:
        process.kill()
        process.wait()
        with driver_lock(here, "s", url) as lease:
            assert lease.still_held()
    assert driver_of(here, "s", url) is None


def test_a_lock_whose_session_ended_is_lost_whoever_has_it_now(
    here: Home, there: Home, url: str
) -> None:
    with driver_lock(here, "s", url) as lease:
        assert lease.still_held()
        lease.check("study 's'")
        end_other_sessions(url)
        # Nobody else has it, but somebody may have had it for a moment, and written.
        assert driver_of(there, "s", url) is None
        assert not lease.still_held()
        with driver_lock(there, "s", url) as other:
            assert other.still_held()
        with pytest.raises(LockLost, match="the lock of study 's' was lost"):
            lease.check("study 's'")


def test_locks_of_others_are_none_of_ours(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(42), pg_advisory_lock(1, 2)"))
        assert held_locks(url, ["s"]) == {}
        with advisory_lock(url, "s", "somebody") as still_held:
            assert still_held is not None
            assert still_held()
            assert held_locks(url, ["r", "s"]) == {"s": "somebody"}
            with advisory_lock(url, "s", "another") as other:
                assert other is None
    assert held_locks(url, ["s"]) == {}


def test_a_study_is_seen_and_stopped_from_another_machine(
    here: Home, there: Home, url: str
) -> None:
    ledger = begin(there, study_spec(trials=5), url)
    ask(ledger)
    stores = Stores(here, storage_url=url)
    assert not study_status("s", stores).running
    with holder(there.root, "s", url, "obey") as driver:
        seen = study_status("s", stores)
        assert seen.driver is not None
        assert seen.driver.pid == driver.pid
        assert [summary["running"] for summary in list_studies(stores)[0]] == [True]
        assert stop_study("s", stores, timeout=60) < 60
        assert driver.wait(10) == 0
    assert not study_status("s", stores).running
    close_storage(ledger.storage)
