from __future__ import annotations

import time
from pathlib import Path

import pytest
from stored_study import begin, study_spec

from safr_study.home import open_home
from safr_study.ledger.driver_lock import Driver, Lease
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.stop_flag import STOP, heeding, request_stop, stop_requested
from safr_study.ledger.storage import open_storage

FIRST, NEXT = Driver("here", 17, 1e9), Driver("here", 17, 1e9 + 0.001)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return begin(open_home(tmp_path / "home"), study_spec())


def test_a_request_reaches_the_driver_that_it_names(ledger: Ledger, tmp_path: Path) -> None:
    assert not stop_requested(ledger, FIRST.token)
    storage = open_storage(open_home(tmp_path / "home"), None, "s", create=False)
    assert storage is not None
    another = Ledger.load(storage, "s")
    assert another is not None
    request_stop(another, FIRST)
    assert stop_requested(ledger, FIRST.token)
    assert not stop_requested(ledger, NEXT.token)


@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_no_clock_is_asked(ledger: Ledger, hours: int) -> None:
    """Who asks, and who runs it, may have clocks that are hours apart."""
    driver = Driver("there", 17, time.time() + 3600 * hours)
    request_stop(ledger, driver)
    assert stop_requested(ledger, driver.token)
    # Neither the driver that is started anew nor a driver that began before is stopped by it.
    for other in (-7200, 7200):
        assert not stop_requested(ledger, Driver("there", 17, time.time() + other).token)


def test_a_request_that_was_obeyed_is_gone(ledger: Ledger) -> None:
    token = str(FIRST.token)
    request_stop(ledger, NEXT)
    with heeding(ledger, Lease(token)):
        assert ledger.study.user_attrs[STOP] is None
        request_stop(ledger, FIRST)
        assert stop_requested(ledger, token)
    assert not stop_requested(ledger, token)


def test_a_request_that_came_before_the_driver_listens_is_heeded(ledger: Ledger) -> None:
    request_stop(ledger, FIRST)
    with heeding(ledger, Lease(str(FIRST.token))):
        assert stop_requested(ledger, FIRST.token)


def test_a_driver_that_lost_its_lock_withdraws_nothing(ledger: Ledger) -> None:
    with heeding(ledger, Lease(str(FIRST.token), still_held=lambda: False)):
        request_stop(ledger, NEXT)
    assert stop_requested(ledger, NEXT.token)


def test_a_driver_that_does_not_say_who_it_is_can_be_stopped(ledger: Ledger) -> None:
    request_stop(ledger, Driver())
    # It is whoever listens now, and not the next one.
    assert stop_requested(ledger, FIRST.token)
    with heeding(ledger, Lease(str(NEXT.token))):
        assert not stop_requested(ledger, NEXT.token)


@pytest.mark.parametrize("odd", ["soon", 17, None, ["2026-01-01"], {"a": 1}])
def test_what_is_no_request_asks_for_nothing(ledger: Ledger, odd: object) -> None:
    ledger.study.set_user_attr(STOP, odd)
    assert not stop_requested(ledger, FIRST.token)


def test_a_request_by_an_earlier_version_asks_for_nothing(ledger: Ledger) -> None:
    ledger.study.set_user_attr("stop_requested", "2999-01-01T00:00:00+00:00")
    assert not stop_requested(ledger, FIRST.token)


def test_a_ledger_that_does_not_answer_asks_for_nothing(ledger: Ledger, tmp_path: Path) -> None:
    request_stop(ledger, FIRST)
    open_home(tmp_path / "home").ledger("s").unlink()
    assert not stop_requested(ledger, FIRST.token)
