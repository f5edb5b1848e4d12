"""What an ended trial, or a driver that was killed, leaves and nobody reads again.

The driver removes it, once the end is in the ledger: until then a trial may have to go on.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from safr_study.errors import ServiceUnreachable
from safr_study.home import Home
from safr_study.ledger.ledger import Ledger
from safr_study.object_store import children, is_url, join, remove
from safr_study.records import TrialRecord, TrialState

STATE = "state"
"""Beginning of the names of a trial's running states, in its folder."""
MODEL = "model"
"""Name of the best model in a trial's folder."""
_UNFINISHED = {TrialState.RUNNING, TrialState.WAITING}


def trial_folder(checkpoints: str, number: int) -> str:
    """The folder of a trial, below those of its study: a path or an URL."""
    return join(checkpoints, f"{number:05d}")


def tidy_trial(place: str, trial: TrialRecord) -> None:
    """Keep the model of an ended trial, the trace of a failed one, nothing of a stopped one.

    A store that does not answer just now keeps what it has; ``clean`` frees it later.
    """
    if trial.state in _UNFINISHED:
        return
    if trial.state is TrialState.PRUNED and not trial.control:
        _remove_all(place)
    else:
        tidy_states(place)


def tidy_states(place: str) -> None:
    """Keep the model and its notes of an ended training, once the end is in the ledger.

    A store that does not answer just now keeps what it has.
    """
    if is_url(place):
        _remove_objects(place, STATE)
        return
    folder = Path(place)
    for part in folder.iterdir() if folder.is_dir() else ():
        if part.name != MODEL and part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)


def tidy_study(home: Home, ledger: Ledger) -> None:
    """Do what a killed driver did not come to: for the next one, before it begins."""
    shutil.rmtree(home.scratch / ledger.uid, ignore_errors=True)
    if is_url(ledger.checkpoints(home)):
        # Its driver did so after each; to ask a store again about every trial takes minutes.
        return
    for trial in ledger.trials():
        tidy_trial(trial_folder(ledger.checkpoints(home), trial.number), trial)


def _remove_all(place: str) -> None:
    if is_url(place):
        _remove_objects(place, "")
    else:
        shutil.rmtree(place, ignore_errors=True)


def _remove_objects(place: str, beginning: str) -> None:
    with contextlib.suppress(ServiceUnreachable):
        for name in children(place):
            if name.startswith(beginning):
                remove(join(place, name))
