"""Find the model that a user names: a folder, or a version in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safr_study.errors import BadInput
from safr_study.workflows.models import pull_model
from safr_study.workflows.stores import Stores

REGISTRY_SCHEME = "models:/"


@contextmanager
def model_folder(reference: str, stores: Stores) -> Iterator[Path]:
    """The folder of a model while it is needed.

    Args:
        reference: a model's folder, or ``NAME@alias`` or ``models:/NAME@alias`` in the registry.
        stores: where the registry is.

    Raises:
        BadInput: there is no such model.
        CorruptCheckpoint: what the registry gave is not what was registered.
        ServiceUnreachable: the tracking server does not answer.
    """
    if reference.startswith(REGISTRY_SCHEME) or "@" in reference:
        with tempfile.TemporaryDirectory() as folder:
            yield pull_model(reference, Path(folder) / "model", stores)
        return
    path = Path(reference).expanduser()
    if not path.is_dir():
        raise BadInput(
            "model",
            f"{reference!r} is no folder; give a pulled model's, or models:/NAME@alias "
            "(see safr-study models)",
        )
    yield path
