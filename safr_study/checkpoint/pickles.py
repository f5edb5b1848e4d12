"""Files that could run code while they are read are refused, wherever they lie in a model."""

from __future__ import annotations

import zipfile
from pathlib import Path

from safr_study.errors import CorruptCheckpoint

_SUFFIXES = frozenset(
    (".pkl", ".pickle", ".pck", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill")
)
"""Formats that are pickles, or hold one."""
_PROTOCOLS = tuple(bytes((0x80, version)) for version in range(2, 6))
"""How a pickle begins since protocol 2."""


def refuse_pickles(folder: Path) -> None:
    """See that no file at or below a folder is a pickle, by its name or by its beginning.

    Nothing of ours is one, and none is ever loaded: one that lies there was put there by somebody
    else, so the rest of the folder is not to be trusted either.

    Raises:
        CorruptCheckpoint: there is one; says which.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _is_pickle(path):
            raise CorruptCheckpoint(
                "model",
                f"{path.relative_to(folder)} in {folder} is a pickle or holds one, which can run "
                "any code; safr-study writes none and loads none: find out who put it there, and "
                "pull the model again",
            )


def _is_pickle(path: Path) -> bool:
    if path.suffix.lower() in _SUFFIXES:
        return True
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_PROTOCOLS):
        return True
    if start.startswith(b"PK"):
        # What torch.save writes.
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith(".pkl") for name in archive.namelist())
        except zipfile.BadZipFile:
            return False
    return False
