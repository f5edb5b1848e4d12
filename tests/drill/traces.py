"""What a study leaves behind: its ledger, its runs, its files."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.records import TrialRecord, TrialState

_TRIAL_ATTRIBUTE = 8
"""Optuna's code of a line that writes an attribute of a trial."""


def ledger(home: Path, study: str) -> Ledger | None:
    """The newest generation; ``None`` before there is one."""
    storage = open_storage(open_home(home), None, study, create=False)
    return None if storage is None else Ledger.load(storage, study)


def trials(home: Path, study: str) -> list[TrialRecord]:
    """By number."""
    found = ledger(home, study)
    return [] if found is None else found.trials()


def numbers(trial: TrialRecord) -> Any:
    """All that must repeat bit for bit: everything but times, places and runs."""
    epochs = [replace(report, seconds=0.0) for report in trial.epochs]
    digest = trial.checkpoint.sha256 if trial.checkpoint else None
    return (trial.number, trial.state, trial.parameters, trial.values, trial.scores, digest, epochs)


def writes(home: Path, study: str) -> Counter[tuple[int, str]]:
    """How often each attribute of each trial was ever written, by Optuna's id and name."""
    counted: Counter[tuple[int, str]] = Counter()
    for line in open_home(home).ledger(study).read_bytes().splitlines():
        entry = json.loads(line)
        if entry["op_code"] == _TRIAL_ATTRIBUTE:
            counted.update((entry["trial_id"], name) for name in entry["user_attr"])
    return counted


def saved_epochs(home: Path, study: str) -> dict[int, list[tuple[int, float]]]:
    """Of each running trial what its newest state has: each epoch, and the seconds that it took.

    No two epochs take the same time to the last bit, so an epoch with these seconds is this one,
    and was not trained again.
    """
    found = ledger(home, study)
    if found is None:
        return {}
    folder = open_home(home).checkpoints(found.uid)
    running = [trial for trial in found.trials() if trial.state is TrialState.RUNNING]
    saved = {trial.number: _newest(folder / f"{trial.number:05d}" / "state") for trial in running}
    return {number: epochs for number, epochs in saved.items() if epochs}


def runs(home: Path, study: str) -> list[Any]:
    """All MLflow runs of all generations."""
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`safr.study` = '{study}'", max_results=1000))


def is_trial(run: Any) -> bool:
    """Whether a run is a trial's."""
    return "safr.trial" in run.data.tags


def pickles(home: Path) -> list[Path]:
    """Files that only pickle reads."""
    endings = (".pkl", ".pickle", ".pt", ".pth", ".bin")
    return [path for path in home.rglob("*") if path.suffix in endings]


def _newest(state: Path) -> list[tuple[int, float]]:
    for facts in sorted(state.glob("epoch-*.json"), reverse=True):
        try:
            reports = json.loads(facts.read_text(encoding="utf-8"))["reports"]
        except (OSError, ValueError):
            continue  # replaced by a newer one just now
        return [(report["epoch"], report["seconds"]) for report in reports]
    return []
