from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored_study import ask, begin, complete, epoch, stop_early, study_spec
from study_holder import holder

from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import driver_lock
from safr_study.ledger.notes import remember_command

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """With one study: 2 trials complete, 1 stopped, 1 begun and 4 to begin."""
    monkeypatch.setenv("SAFR_STUDY_HOME", str(tmp_path / "home"))
    made = open_home(tmp_path / "home")
    ledger = begin(made, study_spec(trials=8))
    ask(ledger, 4)
    complete(ledger, 0, (80.0, 10.0))
    complete(ledger, 1, (70.0, 5.0))
    stop_early(ledger, 2)
    ledger.record_epoch(3, epoch(1))
    remember_command(ledger, ["search", "--dataset", "planted", "--study", "s"])
    return made


def document(told: tuple[int, str, str]) -> Any:
    assert (told[0], told[2]) == (0, "")
    return json.loads(told[1])


@pytest.mark.parametrize("watch", [[], ["--watch"]])
def test_a_study_that_waits_says_how_it_goes_on(home: Home, run: Run, watch: list[str]) -> None:
    code, out, err = run("status", "s", *watch)
    assert (code, err) == (0, "")
    for expected in (
        "Study s on planted: not running",
        "8 trials: 2 complete, 1 stopped early, 1 begun and unfinished, 4 still to begin.",
        "1 of 20",
        "61.00",
        "The front so far",
        "Hypervolume 300.0 against the reference point (50.00, 0.00).",
        "Go on with it: safr-study search --dataset planted --study s\n",
    ):
        assert expected in out


def test_a_study_that_runs_says_by_whom(home: Home, run: Run) -> None:
    with holder(home.root, "s") as driver:
        _, out, _ = run("status", "s")
        assert f"Study s on planted: running (PID {driver.pid} on " in out
        assert " left, " in out
        assert "Go on with it" not in out
        found = document(run("status", "s", "--json"))
    assert (found["running"], found["driver"]["pid"]) == (True, driver.pid)


def test_the_document_has_it_all(home: Home, run: Run) -> None:
    found = document(run("status", "s", "--json"))
    assert {key: found[key] for key in ("planned", "complete", "stopped", "failed", "waiting")} == {
        "planned": 8,
        "complete": 2,
        "stopped": 1,
        "failed": 0,
        "waiting": 4,
    }
    (trial,) = found["begun"]
    assert (trial["trial"], trial["epoch"], trial["epochs"], trial["dev_accuracy"]) == (
        *(3, 1, 20),
        61.0,
    )
    assert [member["trial"] for member in found["front"]] == [0]
    assert found["front"][0]["values"] == {"accuracy": 80.0, "srs@30": 10.0}
    assert found["hypervolume"] == pytest.approx(300.0)
    assert found["disk_bytes"] == home.ledger("s").stat().st_size
    assert found["seconds_since_begin"] >= 0
    assert found["seconds_left"] is None
    assert found["command"] == "safr-study search --dataset planted --study s"


@pytest.mark.parametrize("command", ["status", "list"])
def test_all_studies_are_one_line_each(home: Home, run: Run, command: str) -> None:
    begin(home, study_spec("other"))
    with driver_lock(home, "other"):
        code, out, _ = run(command)
        found = document(run(command, "--json"))["studies"]
    assert code == 0
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    # None has failed, so that there is no column for it.
    headings = ["study", "data", "asked", "complete", "stopped", "unfinished", "hypervolume", "now"]
    assert lines["study"] == headings
    assert lines["s"][2:] == ["8", "2", "1", "1", "300.0"]
    assert lines["other"][-1] == "running"
    assert [(one["name"], one["stopped"], one["running"]) for one in found] == [
        ("other", 0, True),
        ("s", 1, False),
    ]


def test_no_study_yet_is_said(tmp_path: Path, run: Run) -> None:
    assert "No study yet" in run("status", "--home", str(tmp_path))[1]
    assert document(run("status", "--home", str(tmp_path), "--json")) == {"studies": []}


def test_a_study_is_stopped_with_a_word_on_how_it_goes_on(home: Home, run: Run) -> None:
    with holder(home.root, "s", then="obey") as driver:
        code, out, err = run("stop", "s", "--timeout", "60")
        assert driver.wait(10) == 0
    assert code == 0
    assert f"asked its driver (PID {driver.pid} on " in err
    assert "Study s has ended: 8 trials: 2 complete" in out
    assert "Go on with it: safr-study search" in out


def test_stop_has_a_code_for_each_end(home: Home, run: Run) -> None:
    with holder(home.root, "s"):
        code, out, err = run("stop", "s", "--timeout", "0")
        assert (code, out) == (4, "")
        assert err.splitlines()[-1].startswith("error: study 's' has not ended within 0 s")
    code, out, err = run("stop", "s")
    assert (code, out, err) == (
        *(2, ""),
        "error: study: 's' is not running: there is nothing to stop\n",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status", "nothing"], "study: 'nothing' is unknown"),
        (["stop", "nothing"], "study: 'nothing' is unknown"),
        (["status", "--watch"], "watch: needs the name of one study"),
        (["status", "s", "--watch", "--json"], "watch: needs"),
        (["stop", "s", "--timeout", "-1"], "--timeout"),
        (["stop"], "STUDY"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(
    home: Home, run: Run, arguments: list[str], words: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    assert words in line
