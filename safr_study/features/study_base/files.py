"""Files of a result in a folder that the user named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from safr_study.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Content: TypeAlias = "str | pd.DataFrame | Callable[[Path], object]"
"""A text, a table for CSV, or a function that writes the file."""


def write_files(folder: Path, contents: Mapping[str, Content]) -> list[Path]:
    """Write files by their names into a folder, which is made where it is missing.

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            path = folder / name
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            elif callable(content):
                content(path)
            else:
                content.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    except OSError as error:
        raise BadInput("out", f"{folder} cannot be written ({error}); choose another") from error
    return [folder / name for name in contents]
