"""What an ended trial, or a driver that was killed, leaves and nobody reads again.

The driver removes it, once the end is in the ledger: until then a trial may have to go on.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from safr_study.home import Home
from safr_study.records import TrialRecord, TrialState
from safr_study.study.ledger import Ledger

MODEL = "model"
"""Of a trial's folder: its best model."""
_UNFINISHED = {TrialState.RUNNING, TrialState.WAITING}


def tidy_trial(folder: Path, trial: TrialRecord) -> None:
    """Of an ended trial keep the model, of a failed one its trace, of a stopped one nothing."""
    stopped = trial.state is TrialState.PRUNED and not trial.run_on
    if stopped:
        shutil.rmtree(folder, ignore_errors=True)
    if trial.state in _UNFINISHED or not folder.is_dir():
        return
    for part in folder.iterdir():
        if part.name != MODEL and part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)


def tidy_study(home: Home, ledger: Ledger) -> None:
    """Do what a killed driver did not come to: for the next one, before it begins."""
    shutil.rmtree(home.scratch / ledger.uid, ignore_errors=True)
    folder = home.checkpoints(ledger.uid)
    for trial in ledger.trials():
        tidy_trial(folder / f"{trial.number:05d}", trial)
