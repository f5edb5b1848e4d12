"""Find the model that a user names: a folder, or a version in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safr_study.errors import BadInput
from safr_study.features.study_base.stores import Stores
from safr_study.tracking.pull import pull
from safr_study.tracking.store import open_store

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


def pull_model(reference: str, to: Path, stores: Stores) -> Path:
    """Download a version into a folder, its checksums verified.

    Raises:
        BadInput: there is no such model, or the folder is not empty.
        CorruptCheckpoint: what came is not what was registered.
    """
    return pull(open_store(stores.home, stores.tracking_uri), reference, to)
