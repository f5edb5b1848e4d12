"""Finished searches, a line each in a file: none is run twice by the same code."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import safr_study
from benchmarks.result_lines import whole_lines
from benchmarks.searches import Search
from safr_study.records import to_plain


def code(*packages: str) -> list[str]:
    """The code that decides a search, for the fingerprint of a key.

    Args:
        packages: of ``safr_study``; the benchmarks and Optuna's version are always there.
    """
    root = Path(safr_study.__file__).parent
    folders = [*(root / name for name in packages), Path(__file__).parent]
    sources = sorted(path for folder in folders for path in folder.glob("*.py"))
    return [metadata.version("optuna"), *(path.read_text("utf-8") for path in sources)]


def keep_search(path: Path, key: str, search: Search) -> None:
    """Write a line at once and whole, as several processes may write to one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"key": key, "search": to_plain(search)})
    with path.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def kept_searches(path: Path, key: str) -> dict[tuple[str, int], Search]:
    """Those with this key, by method and seed."""
    found = [json.loads(line) for line in whole_lines(path)]
    searches = [Search.from_plain(one["search"]) for one in found if one["key"] == key]
    return {(search.method, search.seed): search for search in searches}
