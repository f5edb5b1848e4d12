"""What a job brings along: this very code, and the search space of a file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Code = Literal["ship", "image"]
"""Sent along, or found in the image of the cluster's nodes."""
_SPACES = "search_spaces"


@contextlib.contextmanager
def shipped_code(code: Code, space_file: Path | None) -> Iterator[list[str]]:
    """Folders of Python packages for Ray's ``py_modules``.

    Copies, without what Python has compiled: equal code is then one package for Ray, which sends
    it once.

    Args:
        code: whether to ship the code.
        space_file: a search space that the cluster does not have; it gets a place among the
            packaged ones, by its name without ``.yaml``.
    """
    import safr_study
    import search_spaces

    sources = [Path(str(search_spaces.__file__)).parent]
    if code == "ship":
        sources.append(Path(str(safr_study.__file__)).parent)
    elif space_file is None:
        sources = []
    with tempfile.TemporaryDirectory(prefix="safr-study-") as folder:
        copies = [Path(folder) / source.name for source in sources]
        for source, copy in zip(sources, copies, strict=True):
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        if space_file is not None:
            target = Path(folder) / _SPACES / f"{space_file.stem}.yaml"
            target.write_bytes(space_file.read_bytes())
        yield [str(copy) for copy in copies]
