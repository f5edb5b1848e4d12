"""The model of any trial of a study, by the trial's number: ``s1#7``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safr_study.checkpoint.manifest import verify_model
from safr_study.checkpoint.new_folder import empty_target, new_folder
from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.features.study_base.results import load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.object_store import local_copy


@contextmanager
def trial_model(study: str, number: int, stores: Stores) -> Iterator[Path]:
    """The folder of a trial's model while it is needed, its files verified.

    Raises:
        BadInput: there is no such study or trial, or the trial has no model.
        CorruptCheckpoint: the files are not those that the trial left.
        ServiceUnreachable: the ledger or the object store does not answer.
    """
    with load_ledger(study, stores) as ledger:
        trials = ledger.trials()
    trial = next((one for one in trials if one.number == number), None)
    if trial is None:
        there = f"0 to {len(trials) - 1}" if trials else "none yet"
        raise BadInput("model", f"study {study!r} has no trial {number}; its trials: {there}")
    if trial.checkpoint is None:
        kept = ", ".join(str(one.number) for one in trials if one.checkpoint is not None)
        raise BadInput(
            "model",
            f"trial {number} of {study!r} left no model (it is {trial.state.value}); "
            f"trials with one: {kept or 'none yet'}",
        )
    with local_copy(trial.checkpoint.uri) as folder:
        if verify_model(folder).sha256 != trial.checkpoint.sha256:
            raise CorruptCheckpoint(
                "model",
                f"{trial.checkpoint.uri} is not the model that trial {number} of {study!r} left; "
                "take another trial, or search anew with --fresh",
            )
        yield folder


def copy_trial(study: str, number: int, to: Path, stores: Stores) -> Path:
    """Copy a trial's model into a folder, which appears whole or not at all.

    Raises:
        BadInput: as `trial_model`, or the folder has something in it or cannot be written.
    """
    target = empty_target(to)
    with trial_model(study, number, stores) as folder, new_folder(to) as copy:
        try:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
        except OSError as error:
            raise BadInput("to", f"{to} cannot be written ({error.strerror})") from error
    return target
