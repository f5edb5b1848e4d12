"""A folder that appears whole or not at all, where nothing was."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safr_study.errors import BadInput

_KEPT = "kept"


def empty_target(to: Path) -> Path:
    """The absolute path of a folder to be made; it may be there and be empty.

    Raises:
        BadInput: something is in it, or it is a file.
    """
    target = to.expanduser().absolute()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise BadInput("to", f"{to} is not empty; name a new folder")
    return target


@contextmanager
def new_folder(to: Path) -> Iterator[Path]:
    """An empty folder to be filled in the block, at whose end it is moved to its place.

    Its parent is there for what is not kept, on the same disk; of a block that fails nothing stays.

    Raises:
        BadInput: as `empty_target`, or it cannot be written.
    """
    target = empty_target(to)
    partial = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    try:
        try:
            (partial / _KEPT).mkdir(parents=True)
        except OSError as error:
            raise BadInput("to", f"{to} cannot be written ({error.strerror})") from error
        yield partial / _KEPT
        if target.exists():
            target.rmdir()
        (partial / _KEPT).rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
