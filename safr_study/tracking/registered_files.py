"""What a registry says of the files of a version, and whether a folder has these files."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.models import Model

from safr_study.checkpoint.manifest import file_sha256
from safr_study.errors import CorruptCheckpoint

FILES_TAG = "safr.files"
"""Tag of a version: JSON of the SHA-256 of every file that is pulled, by its path in the model."""
MODEL_FILES_TAG = "safr.model_files"
"""The same of all the others, the code that MLflow runs among them; earlier versions lack it."""
LOGGED_TAG = "safr.model_id"
"""Tag of a version: its logged model, which MLflow's database does not keep next to it."""
_log = logging.getLogger(__name__)


def folder_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def check_registered(folder: Path) -> None:
    """Compare a logged model's folder with the checksums of its version, where there is a registry.

    Who can rewrite a model's files can rewrite the checksums among them too, but not those that the
    registry keeps. Without a registry in the process's settings, or an answer of it, the folder is
    taken as it is.

    Raises:
        CorruptCheckpoint: a file is another one than was registered.
    """
    for tags in _versions_of(folder):
        for path, digest in _promised(tags).items():
            file = folder / path
            if not file.is_file() or file_sha256(file) != digest:
                raise CorruptCheckpoint(
                    "model",
                    f"{path} in {folder} is not the file that was registered; find out who changed "
                    "it, and load another version",
                )


def _versions_of(folder: Path) -> list[Mapping[str, str]]:
    """The tags of the versions of a logged model; none where the registry cannot be asked."""
    model_id = Model.load(str(folder / "MLmodel")).model_id
    registry = mlflow.get_registry_uri() if mlflow.tracking.is_tracking_uri_set() else ""
    if not model_id or not registry or _is_missing(registry):
        return []
    try:
        wanted = f"tags.`{LOGGED_TAG}` = '{model_id}'"
        return [version.tags for version in MlflowClient().search_model_versions(wanted)]
    except Exception as error:
        _log.warning("the registry was not asked about %s (%s)", folder, type(error).__name__)
        return []


def _is_missing(registry: str) -> bool:
    """Whether it is a file that MLflow would only make now."""
    _, found, path = registry.partition("sqlite:///")
    return bool(found) and not Path(path).exists()


def _promised(tags: Mapping[str, str]) -> dict[str, str]:
    try:
        return {
            path: digest
            for tag in (FILES_TAG, MODEL_FILES_TAG)
            for path, digest in json.loads(tags.get(tag, "{}")).items()
        }
    except (ValueError, AttributeError):
        return {}
