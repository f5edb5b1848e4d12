"""What of a study's files may go: everything that is not read again.

The driver removes what an ended trial leaves, once the end is in the ledger: until then a trial may
resume. The rest is for ``clean``.

A running trial keeps its state, a finished one its best model. Nothing outside the home is ever
named, also where a link leads there.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import optuna

from safr_study.checkpoint.manifest import MANIFEST, MODEL, STATE
from safr_study.errors import ServiceUnreachable
from safr_study.home import Home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import generations
from safr_study.object_store import children, is_url, join, remove
from safr_study.records import TrialRecord, TrialState
from safr_study.sampling.fixed_trials import planned_trials

_KEY = re.compile(r"(?P<study>.+)-[0-9a-f]{8}")
"""Uid of a study: its name and a random part."""
_UNFINISHED = {TrialState.RUNNING, TrialState.WAITING}


@dataclass(frozen=True, slots=True)
class Removal:
    """A folder that may go."""

    path: Path
    """Absolute, in the home."""
    what: str
    size: int
    """Bytes."""
    study: str | None = None
    """Nobody may run it meanwhile; ``None``: it is no study's."""


def study_of(key: str) -> str | None:
    """The name of the study whose checkpoints or scratch lie under this key, if it is one."""
    found = _KEY.fullmatch(key)
    return found["study"] if found else None


def keys_of(storage: optuna.storages.BaseStorage, name: str) -> list[str]:
    """The keys of all generations of a study, half-made ones too."""
    stored = [stored.user_attrs for _, stored in generations(storage, name)]
    return [attrs["uid"] for attrs in stored if "uid" in attrs]


def earlier_keys(ledger: Ledger) -> frozenset[str]:
    """The keys of the generations of a study before this one."""
    keys = keys_of(ledger.storage, ledger.spec.name)
    return frozenset(keys[: keys.index(ledger.uid)] if ledger.uid in keys else keys)


def is_finished(ledger: Ledger) -> bool:
    """Whether a study has all the trials that it was asked for, and none is begun."""
    trials = ledger.trials()
    begun = any(trial.state in _UNFINISHED for trial in trials)
    return not begun and sum(trial.counts for trial in trials) >= planned_trials(ledger.spec)


def removable(
    ledger: Ledger, home: Home, *, superseded: bool, keep: Collection[int] | None
) -> list[Removal]:
    """The folders of one generation of a study that may go.

    Running states of trials that have ended, or that are never resumed; and half-written
    models of them.

    Args:
        ledger: of a study that no driver runs.
        home: where its checkpoints are.
        superseded: a newer generation has taken its place, so none of its trials resumes.
        keep: where models may go too: trials that keep theirs, in addition to the baselines.
    """
    trials = {trial.number: trial for trial in ledger.trials()}
    found = []
    for folder in folders(home, home.checkpoints(ledger.uid)):
        trial = trials.get(int(folder.name)) if folder.name.isdecimal() else None
        if trial is None or (trial.state in _UNFINISHED and not superseded):
            continue
        for part in folders(home, folder):
            what = _use(part, trial, keep)
            if what is not None:
                found.append(Removal(part, what, tree_size(part), ledger.spec.name))
    return found


def folders(home: Home, parent: Path) -> list[Path]:
    """The folders in a folder of the home, by name; none that is reached through a link."""
    if not is_inside(home, parent) or not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())


def is_inside(home: Home, path: Path) -> bool:
    """Whether a path is below the home, and no link on the way leads elsewhere."""
    root = home.root.resolve()
    return path.is_relative_to(home.root) and path.resolve() == root / path.relative_to(home.root)


def tree_size(folder: Path) -> int:
    """Bytes of the files below a folder; links are not followed, and what vanishes counts 0."""
    found = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found += Path(root, name).lstat().st_size
    return found


def _use(part: Path, trial: TrialRecord, keep: Collection[int] | None) -> str | None:
    """What a part of a trial's folder is, if it may go."""
    ending = f"of trial {trial.number} ({trial.state.value})"
    if part.name.startswith(STATE):
        return f"running state {ending}"
    if part.name.startswith("."):
        return f"half-written model {ending}"
    if keep is None or trial.number in keep or trial.baseline is not None:
        return None
    return f"model {ending}, off the front" if (part / MANIFEST).is_file() else None


def trial_folder(checkpoints: str, number: int) -> str:
    """The folder of a trial, below those of its study: a path or an URL."""
    return join(checkpoints, f"{number:05d}")


def tidy_trial(place: str, trial: TrialRecord) -> None:
    """Keep the model of an ended trial, the trace of a failed one, nothing of a stopped one.

    A store that does not answer just now keeps what it has; ``clean`` frees it later.
    """
    if trial.state in _UNFINISHED:
        return
    if trial.state is not TrialState.PRUNED or trial.control:
        tidy_states(place)
    elif is_url(place):
        _remove_objects(place, "")
    else:
        shutil.rmtree(place, ignore_errors=True)


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


def _remove_objects(place: str, beginning: str) -> None:
    with contextlib.suppress(ServiceUnreachable):
        for name in children(place):
            if name.startswith(beginning):
                remove(join(place, name))
