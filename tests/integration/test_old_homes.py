"""Homes of older code, whose commands were killed, are read and taken to their end."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import safr
from nets.old_home import KILLED_TRIAL, unpacked
from optuna.storages.journal import JournalFileBackend

PLACES = ("front", "on_front", "knee", "compromise", "crowding", "run_id", "warnings")
"""What a finished trial's document says of others, or of MLflow: it may change."""


def shown(home: Path, *words: str) -> Any:
    ended = safr(home, *words, "--json")
    assert ended.code == 0, ended.err
    return ended.json


def own(trial: dict[str, Any]) -> dict[str, Any]:
    """What a trial's document says of the trial alone."""
    return {key: value for key, value in trial.items() if key not in PLACES}


def by_number(document: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {trial["trial"]: trial for trial in document["trials"]}


def saved_seconds(home: Path) -> list[float]:
    """Of the epochs in the state of the trial that was killed.

    No two epochs take the same time to the last bit: one with these seconds was not retrained.
    """
    (state,) = home.glob(f"checkpoints/half-*/{KILLED_TRIAL:05d}/state/epoch-000002.json")
    return [report["seconds"] for report in json.loads(state.read_text("utf-8"))["reports"]]


def ledger_seconds(home: Path, url: str | None) -> list[float]:
    """Of the first two epochs of that trial in the ledger."""
    storage: Any = url
    if url is None:
        backend = JournalFileBackend(str(home / "ledgers" / "half.journal"))
        storage = optuna.storages.JournalStorage(backend)
    trial = optuna.load_study(study_name="half", storage=storage).trials[KILLED_TRIAL]
    return [trial.user_attrs[f"epoch:{number:05d}"]["seconds"] for number in (1, 2)]


# The SQLite home's driver was killed before it heard of the second epoch, which is on disk.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "heard"), [("journal", 2), ("sqlite", 1)])
def test_an_old_home_is_read_and_taken_to_its_end(name: str, heard: int, tmp_path: Path) -> None:
    home = unpacked(name, tmp_path)
    url = None if name == "journal" else f"sqlite:///{home / 'studies.db'}"
    at = () if url is None else ("--storage", url)
    before = by_number(shown(home, "pareto", "half", *at))
    status = shown(home, "status", "half", *at)
    assert set(before) == set(range(KILLED_TRIAL))
    assert [(one["trial"], one["epoch"]) for one in status["begun"]] == [(KILLED_TRIAL, heard)]
    assert {"half", "other"} <= {one["name"] for one in shown(home, "list", *at)["studies"]}
    seconds = saved_seconds(home)

    # The search, by the very command that the old code says.
    program, *command = shlex.split(status["command"])
    assert program == "safr-study"
    ended = safr(home, *command)
    assert ended.code == 0, ended.err
    document = shown(home, "pareto", "half", *at)
    after = by_number(document)
    assert document["complete"] == document["asked"] == 6
    assert document["unranked"] == []
    assert set(after) == set(range(6))
    assert {number: own(after[number]) for number in before} == {
        number: own(trial) for number, trial in before.items()
    }
    assert ledger_seconds(home, url) == seconds, "saved epochs were trained again"
    assert after[KILLED_TRIAL]["epochs"] > len(seconds)
    aliases = {one for model in shown(home, "models")["models"] for one in model["aliases"]}
    assert "half-best-accuracy" in aliases

    # The confirmation, of which two runs of four were finished.
    confirm = ("confirm", "other", "--seeds", "2", *at)
    plan = shown(home, *confirm, "--dry-run")
    assert (plan["wanted"], len(plan["missing"])) == (4, 2)
    began = datetime.now(UTC).replace(microsecond=0)
    confirmed = shown(home, *confirm)
    runs = {
        (run["trial"], run["seed"]): run for trial in confirmed["trials"] for run in trial["runs"]
    }
    missing = {(one["trial"], one["seed"]) for one in plan["missing"]}
    assert len(runs) == 4
    assert {key for key, run in runs.items() if _ended(run) >= began} == missing
    assert all(run["failure"] is None and run["test"] is not None for run in runs.values())
    assert shown(home, *confirm, "--dry-run")["missing"] == []


def _ended(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["ended"])
