from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest
from stored_study import ask, begin, study_spec

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import (
    STOP,
    began,
    command_of,
    remember_command,
    request_stop,
    stop_requested,
)
from safr_study.ledger.storage import open_storage


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return begin(open_home(tmp_path / "home"), study_spec())


def test_it_began_with_its_first_trial(ledger: Ledger) -> None:
    assert began(ledger) is None
    before = time.time()
    ask(ledger)
    between = time.time()
    ask(ledger)
    found = began(ledger)
    assert found is not None
    assert before - 0.001 <= found <= between


def test_the_command_goes_on_with_it_and_holds_no_password(ledger: Ledger) -> None:
    given = [
        *("search", "--dataset", "my reviews.csv", "--fresh", "--study", "s"),
        *("--storage", "postgresql+psycopg://safr:hunter2@host:5432/ledger"),
        *("--tracking-uri=http://me:hunter2@mlflow:5000",),
    ]
    remember_command(ledger, given)
    assert shlex.split(command_of(ledger)) == [
        *("safr-study", "search", "--dataset", "my reviews.csv", "--study", "s"),
        *("--storage", "postgresql+psycopg://safr@host:5432/ledger"),
        *("--tracking-uri=http://mlflow:5000",),
    ]
    assert "hunter2" not in str(ledger.study.user_attrs)


def test_without_a_remembered_command_the_study_is_named(ledger: Ledger) -> None:
    assert command_of(ledger).startswith("safr-study search --dataset planted --study s (")


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
