"""Finished runs on disk: one JSON line each, appended, never rewritten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from safr_study.data import slugify
from safr_study.errors import BadInput
from safr_study.records.run_line import RunLine


def line_path(folder: Path, dataset: str, preset: str) -> Path:
    """The file of the runs of one data set and preset."""
    return folder / f"{slugify(dataset)}-{preset}.jsonl"


def read_lines(folder: Path) -> tuple[RunLine, ...]:
    """All the runs of a folder, file by file, each file in its order; none where it is not there.

    Raises:
        BadInput: a line that is none; a torn last one, as a crash leaves it, is passed over.
    """
    paths = sorted([*folder.glob("*-masked.jsonl"), *folder.glob("*-reference.jsonl")])
    return tuple(line for path in paths for line in read_file(path))


def read_file(path: Path) -> tuple[RunLine, ...]:
    """The runs of one file; none where it is not there.

    Raises:
        BadInput: as `read_lines`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise BadInput("results", f"{path} cannot be read ({error}); choose another") from error
    return tuple(_lines(path, content))


def append_line(folder: Path, line: RunLine) -> RunLine:
    """Add a run to its file, in one write; mends a torn last line before.

    Returns:
        The run as it will be read back, its numbers rounded.

    Raises:
        BadInput: it cannot be written.
    """
    path = line_path(folder, line.dataset, line.preset)
    text = line.to_json()
    data = text.encode() + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _mend(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError("the disk is full")
    except OSError as error:
        raise BadInput("results", f"{path} cannot be written ({error}); choose another") from error
    return RunLine.from_json(text)


def _lines(path: Path, content: bytes) -> Iterator[RunLine]:
    *whole, last = content.split(b"\n")
    for number, text in enumerate(whole, start=1):
        if text.strip():
            try:
                yield RunLine.from_json(text.decode())
            except ValueError as error:
                raise BadInput(
                    "results",
                    f"{path}, line {number} is no run of this version: {error}; "
                    "remove the line, or choose another folder",
                ) from error
    if _is_run(last):
        yield RunLine.from_json(last.decode())


def _mend(path: Path) -> None:
    """End the last line if it is whole, cut it off if it is torn."""
    if not path.exists():
        return
    content = path.read_bytes()
    last = content.rpartition(b"\n")[2]
    if _is_run(last):
        with path.open("ab") as file:
            file.write(b"\n")
    elif last:
        os.truncate(path, len(content) - len(last))


def _is_run(text: bytes) -> bool:
    try:
        RunLine.from_json(text.decode())
    except ValueError:
        return False
    return True
