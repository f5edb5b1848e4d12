from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from study_holder import holder

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.home import Home, open_home
from safr_study.ledger.address import JOURNAL, LedgerAddress
from safr_study.ledger.driver_lock import (
    Driver,
    driver_lock,
    driver_of,
    drivers,
    storages_of,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture(params=["journal", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    return None if request.param == "journal" else f"sqlite:///{tmp_path / 'ledger.db'}"


def test_a_second_driver_is_refused_and_told_who_the_first_is(home: Home, url: str | None) -> None:
    before = time.time()
    with holder(home.root, "s", url) as first:
        with pytest.raises(BadInput) as refused, driver_lock(home, "s", url):
            pass
        sentence = str(refused.value)
        assert "'s' is being run by another process" in sentence
        assert f"PID {first.pid} on {socket.gethostname()}" in sentence
        assert "safr-study stop s" in sentence
        assert "\n" not in sentence
        found = driver_of(home, "s", url)
        assert found is not None
        assert (found.host, found.pid) == (socket.gethostname(), first.pid)
        assert found.since is not None
        assert before - 0.001 <= found.since <= time.time()
        assert drivers(home, ["r", "s", "t"], url) == {"s": found}
        with driver_lock(home, "other", url):
            pass


def test_a_holder_that_ends_gives_it_free(home: Home, url: str | None) -> None:
    with holder(home.root, "s", url) as process:
        process.communicate("")
        assert process.returncode == 0
    assert driver_of(home, "s", url) is None
    with driver_lock(home, "s", url) as lease:
        assert lease.still_held()
        mine = driver_of(home, "s", url)
        assert mine is not None
        assert (mine.host, mine.pid, mine.token) == (socket.gethostname(), os.getpid(), lease.token)


@pytest.mark.parametrize("then", ["wait", "leave"])
def test_a_killed_holder_never_blocks_the_next_start(
    home: Home, url: str | None, then: str
) -> None:
    with holder(home.root, "s", url, then) as process:
        process.kill()
        process.wait()
        assert driver_of(home, "s", url) is None
        with driver_lock(home, "s", url):
            pass


def test_an_sqlite_file_is_one_for_all_homes_and_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    same = f"sqlite:///{tmp_path / 'link' / 'ledger.db'}"
    one, other = open_home(tmp_path / "one"), open_home(tmp_path / "other")
    with driver_lock(one, "s", url):
        assert driver_of(other, "s", same) is not None
        with pytest.raises(BadInput, match="is being run"), driver_lock(other, "s", same):
            pass
        # A journal lies in its own home.
        with driver_lock(other, "s"):
            pass


def test_one_home_runs_one_study_of_a_name_wherever_its_ledger_is(
    home: Home, tmp_path: Path
) -> None:
    with (
        driver_lock(home, "s", f"sqlite:///{tmp_path / 'ledger.db'}"),
        pytest.raises(BadInput, match="is being run"),
        driver_lock(home, "s"),
    ):
        pass


def test_a_home_knows_where_its_studies_had_their_ledgers(home: Home, tmp_path: Path) -> None:
    assert storages_of(home, "s") == frozenset()
    with driver_lock(home, "s"):
        pass
    assert storages_of(home, "s") == {JOURNAL}
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with driver_lock(home, "s", url):
        pass
    assert storages_of(home, "s") == {JOURNAL, LedgerAddress.parse(url).shown}
    assert storages_of(home, "other") == frozenset()


def test_a_damaged_note_hides_who_but_not_that(home: Home) -> None:
    with driver_lock(home, "s"):
        home.lock("s").with_suffix(".driver").write_text("{", encoding="utf-8")
        assert driver_of(home, "s") == Driver()
        with (
            pytest.raises(BadInput, match=r"another process \(it does not say who\)"),
            driver_lock(home, "s"),
        ):
            pass


def test_looking_makes_no_files(home: Home, url: str | None) -> None:
    before = sorted(home.root.parent.rglob("*"))
    assert driver_of(home, "s", url) is None
    assert sorted(home.root.parent.rglob("*")) == before


def test_places_have_no_password() -> None:
    url = "postgresql+psycopg://u:hunter2@h/d?password=x"
    assert LedgerAddress.parse(url).shown == "postgresql+psycopg://u@h/d"
    assert "hunter2" not in repr(LedgerAddress.parse(url))
    assert LedgerAddress.parse(None).shown == JOURNAL
    for bad in ("no url:hunter2", "postgresql://u:a@hunter2@h/d"):
        with pytest.raises(BadInput) as refused:
            LedgerAddress.parse(bad)
        assert "hunter2" not in str(refused.value)


def test_a_line_says_who_even_when_it_is_cut() -> None:
    driver = Driver("host-" * 20, 12345678, 1795387583.092)
    assert Driver.of_line(driver.line()) == driver
    cut = Driver.of_line(driver.line()[:63])
    assert (cut.pid, cut.since) == (driver.pid, driver.since)
    assert cut.host is not None
    assert driver.host is not None
    assert driver.host.startswith(cut.host)
    assert Driver.of_line("psql") == Driver()


def test_databases_that_are_none_or_do_not_answer(home: Home) -> None:
    for bad in ("postgresql+nodriver://127.0.0.1/x", "postgresql//x"):
        with pytest.raises(BadInput, match="database URL"), driver_lock(home, "s", bad):
            pass
    dead = "postgresql+psycopg://nobody:hunter2@127.0.0.1:9/none"
    with pytest.raises(ServiceUnreachable, match="does not answer") as refused:
        driver_of(home, "s", dead)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(ServiceUnreachable), driver_lock(home, "s", dead):
        pass
    # And nothing stays held.
    assert driver_of(home, "s") is None
