from __future__ import annotations

import time
from pathlib import Path

import pytest
from stored_study import begin, study_spec

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.stop_flag import STOP, request_stop, stop_requested
from safr_study.ledger.storage import open_storage


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return begin(open_home(tmp_path / "home"), study_spec())


def test_a_request_reaches_the_driver_that_was_there_before_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    since = time.time()
    assert not stop_requested(ledger, since)
    storage = open_storage(open_home(tmp_path / "home"), None, "s", create=False)
    assert storage is not None
    another = Ledger.load(storage, "s")
    assert another is not None
    request_stop(another)
    assert stop_requested(ledger, since)
    # A driver that begins after it was not meant.
    assert not stop_requested(ledger, time.time() + 0.001)
    request_stop(another)
    assert stop_requested(ledger, since)


@pytest.mark.parametrize("odd", ["soon", 17, None, ["2026-01-01"]])
def test_what_is_no_time_asks_for_nothing(ledger: Ledger, odd: object) -> None:
    ledger.study.set_user_attr(STOP, odd)
    assert not stop_requested(ledger, 0.0)


def test_a_ledger_that_does_not_answer_asks_for_nothing(ledger: Ledger, tmp_path: Path) -> None:
    request_stop(ledger)
    open_home(tmp_path / "home").ledger("s").unlink()
    assert not stop_requested(ledger, 0.0)
