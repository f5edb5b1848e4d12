from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from stored_study import ask, begin, complete, study_spec
from synthetic_confirmation import draw, measured, run

from safr_study.errors import BadInput
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import (
    confirmed_runs,
    readings_of_test,
    record_reading,
    record_run,
    record_test,
)
from safr_study.ledger.storage import open_storage
from safr_study.records.run import RunResult

AT = "2026-01-03T00:00:00+00:00"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return begin(open_home(tmp_path / "home"), study_spec())


def reopened(ledger: Ledger, tmp_path: Path) -> Ledger:
    storage = open_storage(open_home(tmp_path / "home"), None, "s", create=False)
    assert storage is not None
    found = Ledger.load(storage, "s")
    assert found is not None
    return found


def test_runs_and_test_results_are_kept_in_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    first = run(3, 1, draw(0.8, 1), draw(0.5, 2), violations=(-1.0,))
    second = run(3, 2, draw(0.7, 3), draw(0.5, 4))
    record_run(ledger, first)
    record_run(ledger, second)
    on_test = measured(draw(0.6, 5), draw(0.4, 6), split="test")
    record_test(ledger, (3, 1), on_test, AT)
    again = confirmed_runs(reopened(ledger, tmp_path))
    assert again == {(3, 1): replace(first, test=on_test, test_read=AT), (3, 2): second}


def test_a_run_that_failed_is_replaced_by_the_one_that_did_not(ledger: Ledger) -> None:
    record_run(ledger, RunResult(3, 1, ended=AT, failure="its worker died"))
    assert confirmed_runs(ledger)[3, 1].failure == "its worker died"
    done = run(3, 1, draw(0.8, 1), draw(0.5, 2))
    record_run(ledger, done)
    assert confirmed_runs(ledger) == {(3, 1): done}


def test_every_reading_of_the_test_set_is_kept_in_order(ledger: Ledger, tmp_path: Path) -> None:
    readings = [
        record_reading(ledger, [(0, 1), (3, 1)], {"knee": 3}, AT),
        record_reading(ledger, [(3, 2)], {"knee": 0}, "2026-02-03T00:00:00+00:00"),
    ]
    assert list(readings_of_test(reopened(ledger, tmp_path))) == readings
    assert readings[0].runs == ((0, 1), (3, 1))
    assert dict(readings[0].chosen) == {"knee": 3}


def test_the_searchs_own_trials_are_left_alone(ledger: Ledger) -> None:
    (number,) = ask(ledger)
    complete(ledger, number, (80.0, 10.0))
    before = ledger.trials()
    record_run(ledger, run(number, 1, draw(0.8, 1), draw(0.5, 2)))
    assert ledger.trials() == before


def test_a_run_of_another_version_is_refused_with_a_sentence(ledger: Ledger) -> None:
    record_run(ledger, run(3, 1, draw(0.8, 1), draw(0.5, 2)))
    plain = ledger.study.user_attrs["confirm:3:1"]
    ledger.study.set_user_attr("confirm:3:1", {**plain, "schema": 99})
    with pytest.raises(BadInput, match="confirm:3:1 has schema 99"):
        confirmed_runs(ledger)
