from __future__ import annotations

from pathlib import Path

import pytest
from stored_study import begin, study_spec
from study_holder import holder

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.search.status import stop_study
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import Driver, driver_of
from safr_study.ledger.stop_flag import request_stop


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def test_a_driver_ends_as_it_is_asked(home: Home) -> None:
    ledger = begin(home, study_spec())
    # An older request was for an older driver, whatever its clock said.
    request_stop(ledger, Driver("there", 17, 4e9))
    asked: list[tuple[Driver, float]] = []
    with holder(home.root, "s", then="obey") as driver:
        assert driver.poll() is None
        seconds = stop_study(
            "s", Stores(home), timeout=60, on_wait=lambda *said: asked.append(said)
        )
        assert driver.wait(10) == 0
        assert 0.0 <= seconds < 60.0
        assert (asked[0][0].pid, asked[0][1]) == (driver.pid, 0.0)
    assert driver_of(home, "s") is None


@pytest.mark.parametrize("begun", [True, False])
def test_a_driver_that_does_not_end_in_time_is_a_failure(home: Home, begun: bool) -> None:
    if begun:
        begin(home, study_spec())
    with holder(home.root, "s") as driver:
        with pytest.raises(ServiceUnreachable, match="has not ended within 0 s") as failed:
            stop_study("s", Stores(home), timeout=0)
        assert failed.value.exit_code == 4
        assert f"PID {driver.pid}" in str(failed.value)
        assert driver_of(home, "s") is not None


def test_there_is_nothing_to_stop_where_nobody_runs_it(home: Home) -> None:
    begin(home, study_spec())
    with pytest.raises(BadInput, match="'s' is not running: there is nothing to stop"):
        stop_study("s", Stores(home), timeout=0)
    with pytest.raises(BadInput, match="'other' is unknown"):
        stop_study("other", Stores(home), timeout=0)
