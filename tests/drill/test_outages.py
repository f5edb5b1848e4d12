"""The outage drill: a real MLflow server over PostgreSQL goes away under a running study.

``SAFR_DRILL_OUTAGE`` (60) seconds each time; refused connections first, then a server that hangs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from commands import environment
from counts import OutageCounts
from mlflow_server import Server, postgres_backed_server
from processes import of_session, wait_for_end
from traces import ledger
from tracked_equality import Compared, compare

from safr_study.features.study_base.stores import Stores
from safr_study.features.sync import sync_study
from safr_study.home import open_home
from safr_study.records import TrialState

OUTAGE = float(os.environ.get("SAFR_DRILL_OUTAGE", "60"))
BOUND_SECONDS = 120.0
"""The end of a study without its server: 60 s of patience, one call of 30 s, and its own work."""
STUDY = "outage"
PROGRAM = str(Path(sys.executable).with_name("safr-study"))

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres_backed_server(tmp_path_factory.mktemp("outages")) as running:
        yield running


@dataclass
class Driver:
    """A study that always has something left to do, until its time budget is spent."""

    home: Path
    url: str
    seconds: float
    counts: OutageCounts
    away: list[tuple[float, float]] = field(default_factory=list)
    """From when to when the server was away, by the wall clock."""

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.log = self.home.parent / "stderr.txt"
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [
                    *(PROGRAM, "search", "--dataset", "planted", "--study", STUDY),
                    *("--space", "smoke", "--trials", "1000", "--epochs", "6"),
                    *("--sampler", "random", "--max-concurrent", "2", "--tracking-uri", self.url),
                    *("--time-budget", f"{self.seconds:.0f}s"),
                ],
                env=environment(self.home),
                cwd=self.home.parent,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        while self.epochs() < 4:
            assert self.process.poll() is None, self.said
            time.sleep(0.5)
        self.first = time.time()

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")[-2000:]

    def epochs(self) -> int:
        """In the ledger by now."""
        found = ledger(self.home, STUDY)
        return 0 if found is None else sum(len(trial.epochs) for trial in found.trials())

    def outage(self, go: object, come_back: object | None = None) -> None:
        """The server goes, and comes back after its time."""
        before, began = self.epochs(), time.time()
        go()
        # Where it stays away, until trials have gone on without it.
        time.sleep(OUTAGE if come_back is not None else OUTAGE / 3)
        self.counts.epochs_during += self.epochs() - before
        if come_back is not None:
            come_back()
            self.away.append((began, time.time()))
            self.counts.outages.append(time.time() - began)

    def wait(self) -> None:
        """Until the command ends."""
        self.counts.exit_code = self.process.wait(timeout=900)
        ended = time.time()
        found = ledger(self.home, STUDY)
        assert found is not None
        last = max(trial.ended for trial in found.trials() if trial.ended is not None)
        self.counts.end_seconds = ended - last
        self._count_pace(last)

    def _count_pace(self, until: float) -> None:
        """Epochs a minute with and without the server, by the trials' own times."""
        found = ledger(self.home, STUDY)
        assert found is not None
        ends = []
        for trial in found.trials():
            if trial.ended is None:
                continue
            spent = trial.ended - trial.seconds
            for report in trial.epochs:
                spent += report.seconds
                ends.append(spent)
        gone = [(begin, min(end, until)) for begin, end in self.away if begin < until]
        without = sum(end - begin for begin, end in gone)
        in_outage = sum(any(begin <= at <= end for begin, end in gone) for at in ends)
        inside = sum(self.first <= at <= until for at in ends) - in_outage
        with_server = until - self.first - without
        self.counts.epochs_per_minute = (
            60 * inside / max(1.0, with_server),
            60 * in_outage / max(1.0, without),
        )


def check(driver: Driver, server: Server) -> Compared:
    """MLflow against the ledger, past the server."""
    found = ledger(driver.home, STUDY)
    assert found is not None
    return compare(server.direct.client, found.uid, found.spec, found.trials())


def conclude(driver: Driver, server: Server) -> None:
    """Everything is there once, and the counts say so."""
    found, counts = check(driver, server), driver.counts
    counts.runs, counts.points = found.runs, found.points
    counts.missing, counts.different = found.missing, found.different
    counts.doubled = found.doubled
    trials = ledger(driver.home, STUDY).trials()
    counts.trials = len(trials)
    assert found == Compared(runs=len(trials) + 1, points=found.points)
    assert found.points > 0
    assert counts.epochs_during > 0, "no trial went on while the server was away"
    assert "Traceback" not in driver.said


def test_two_outages_in_mid_study(server: Server, tmp_path: Path, table: list[object]) -> None:
    counts = OutageCounts("refused, then hanging")
    table.append(counts)
    driver = Driver(tmp_path / "home", server.url, 2 * OUTAGE + 110, counts)
    driver.outage(server.stop, server.start)
    time.sleep(15)
    driver.outage(server.freeze, server.thaw)
    driver.wait()
    assert counts.exit_code == 0, driver.said
    conclude(driver, server)
    ended = ledger(driver.home, STUDY).trials()
    assert any(trial.state is TrialState.COMPLETE for trial in ended)


@pytest.mark.parametrize("how", ["refused", "hanging"])
def test_an_outage_at_the_end(
    how: str, server: Server, tmp_path: Path, table: list[object]
) -> None:
    counts = OutageCounts(f"{how} at the end")
    table.append(counts)
    driver = Driver(tmp_path / "home", server.url, 60, counts)
    began = time.time()
    driver.outage(server.stop if how == "refused" else server.freeze)
    driver.away.append((began, time.time() + 3600))
    driver.wait()
    counts.outages.append(time.time() - began)
    assert counts.exit_code == 4, driver.said
    assert driver.said.strip().splitlines()[-1].startswith("error: tracking: "), driver.said
    assert counts.end_seconds < BOUND_SECONDS
    back(how, server)
    sync(driver, server)


def test_the_driver_is_killed_in_an_outage(
    server: Server, tmp_path: Path, table: list[object]
) -> None:
    counts = OutageCounts("driver killed in it")
    table.append(counts)
    driver = Driver(tmp_path / "home", server.url, 600, counts)
    began = time.time()
    driver.outage(server.freeze)
    driver.process.send_signal(signal.SIGKILL)
    orphans = of_session(driver.process.pid)
    counts.exit_code = driver.process.wait()
    counts.outages.append(time.time() - began)
    assert wait_for_end(orphans, 90) == []
    back("hanging", server)
    sync(driver, server)


def back(how: str, server: Server) -> None:
    server.start() if how == "refused" else server.thaw()


def sync(driver: Driver, server: Server) -> None:
    """As a person does who finds the server back."""
    before = check(driver, server)
    driver.counts.lacking = before.missing + before.different
    assert driver.counts.lacking > 0, "nothing was lacking: the outage struck nothing"
    done = sync_study(STUDY, Stores(open_home(driver.home)))
    assert done.missing is None
    driver.counts.synced = done.points
    conclude(driver, server)
    again = sync_study(STUDY, Stores(open_home(driver.home)))
    assert again.points == 0
