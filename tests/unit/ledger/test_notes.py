from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest
from stored_study import ask, begin, study_spec

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import (
    began,
    command_of,
    remember_command,
)


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
