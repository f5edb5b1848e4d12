"""The tracking server goes away and comes back: nothing is lost, nothing is there twice.

The outages end by events, not by time; `make drill` has those of a minute.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from commands import command_line, environment, safr
from mlflow_server import Server, postgres_backed_server
from synthetic_study import complete_trial, epoch, ranked_study, study_spec, trial, writer_of
from tracked_equality import Compared, compare

from safr_study.errors import ServiceUnreachable
from safr_study.features.search.status import study_status
from safr_study.features.study_base.stores import Stores
from safr_study.features.sync import sync_study, unsynced
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.records import TrialState
from safr_study.tracking import writer as writer_module
from safr_study.tracking.store import open_store
from safr_study.tracking.study_runs import StudyEnd
from safr_study.tracking.writer import StudyWriter

pytestmark = pytest.mark.cluster
TRIALS = 4
STUDY = [
    *("search", "--dataset", "planted", "--study", "out", "--space", "smoke"),
    *("--trials", str(TRIALS), "--epochs", "2", "--sampler", "random", "--max-concurrent", "2"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with postgres_backed_server(tmp_path_factory.mktemp("outage")) as running:
        yield running


@pytest.mark.parametrize("outage", ["refusing", "hanging"])
def test_an_outage_in_mid_study_loses_nothing_and_doubles_nothing(
    outage: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 0.5)
    struck = _watch_failures(monkeypatch)
    store = open_store(open_home(tmp_path), server.url)
    spec = study_spec()
    writer = writer_of(store, spec, outage)
    writer.start()
    ended = [
        replace(complete_trial(number, 80.0, 10.0, epochs=3), ended=1_700_000_000.0 + number)
        for number in range(4)
    ]
    _observe(writer, ended[0])
    server.stop() if outage == "refusing" else server.freeze()
    for one in ended[1:3]:
        _observe(writer, one)
    # More than one call is given up, so that a frozen server has some to work off later.
    for _ in range(3):
        assert struck.acquire(timeout=60)
    server.start() if outage == "refusing" else server.thaw()
    _observe(writer, ended[3])
    assert writer.finish(StudyEnd(ranked_study(spec, [ended]))) is None
    found = compare(server.direct.client, outage, spec, ended)
    assert found == Compared(runs=5, points=4 * 3 * 9)


def test_a_study_ends_well_without_its_server_and_sync_brings_all_of_it(
    server: Server, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    at = ("--tracking-uri", server.url)
    driver = subprocess.Popen(
        command_line(*STUDY, *at),
        env={**environment(home), "SAFR_STUDY_TRACKING_PATIENCE": "2"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stderr is not None
    said = ""
    while "trial 0" not in said:
        line = driver.stderr.readline()
        assert line, said
        said += line
    server.stop()
    out, err = driver.communicate(timeout=280)
    # The study is whole and shown; the exit code says that a service has not all of it.
    assert driver.returncode == 4, err
    assert f"Study out: {TRIALS} of {TRIALS} trials complete" in out
    (told,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "could not be brought up to date (nothing answers there)" in told
    assert told.endswith("bring it there: safr-study sync out")
    stores = Stores(open_home(home))
    shown = study_status("out", stores)
    assert (shown.complete, shown.command) == (TRIALS, None)
    assert "nothing answers there" in (shown.undelivered or "")
    # While the server is away, sync says so and changes nothing.
    with pytest.raises(ServiceUnreachable, match="nothing answers at"):
        sync_study("out", stores)
    assert unsynced(stores) == ["out"]
    server.start()
    synced = safr(home, *shlex.split(told.rpartition("safr-study ")[2]), "--json")
    assert synced.code == 0, synced.err
    (first,) = synced.json["studies"]
    assert (first["runs"], first["missing"]) == (TRIALS + 1, None)
    assert first["points"] > 0
    ledger = _ledger(home)
    trials = ledger.trials()
    assert {one.state for one in trials} == {TrialState.COMPLETE}
    found = compare(server.direct.client, ledger.uid, ledger.spec, trials)
    assert found == Compared(runs=TRIALS + 1, points=found.points)
    assert found.points > 50
    assert first["models"]
    assert {model["tags"]["uid"] for model in first["models"]} == {ledger.uid}
    # Once more: nothing is missing, and nothing is written.
    again = sync_study("out", stores)
    assert (again.runs, again.points, again.missing) == (TRIALS + 1, 0, None)
    assert [model.version for model in again.models] == [
        model["version"] for model in first["models"]
    ]
    assert compare(server.direct.client, ledger.uid, ledger.spec, trials) == found
    assert unsynced(stores) == []
    assert study_status("out", stores).undelivered is None


def test_a_socket_that_never_answers_is_told_at_the_start(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServiceUnreachable, match="nothing answers at"):
            open_store(open_home(tmp_path), uri)


def _observe(writer: StudyWriter, ended: object) -> None:
    writer.trial_started(trial(ended.number))
    for number in range(1, 4):
        writer.epoch_ended(trial(ended.number, epochs=number), epoch(number))
    writer.trial_ended(ended)


def _watch_failures(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Released for each call to the server that failed."""
    struck = threading.Semaphore(0)
    what_failed = writer_module.what_failed

    def counted(error: BaseException) -> str:
        struck.release()
        return what_failed(error)

    monkeypatch.setattr(writer_module, "what_failed", counted)
    return struck


def _ledger(home: Path) -> Ledger:
    storage = open_storage(open_home(home), None, "out", create=False)
    assert storage is not None
    ledger = Ledger.load(storage, "out")
    assert ledger is not None
    return ledger
