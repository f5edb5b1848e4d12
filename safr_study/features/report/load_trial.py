"""The model of a trial, for a look at it."""

from __future__ import annotations

import torch

from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.object_store import local_copy
from safr_study.records import TrialRecord


def load_trial(trial: TrialRecord) -> LoadedModel | None:
    """The model on the CPU; ``None``: none was kept, or it is another than the ledger knows.

    Raises:
        SafrError: it cannot be read.
    """
    if trial.checkpoint is None:
        return None
    with local_copy(trial.checkpoint.uri) as folder:
        loaded = load_model(folder, device=torch.device("cpu"))
    return loaded if loaded.ref.sha256 == trial.checkpoint.sha256 else None
