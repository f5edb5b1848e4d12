"""Files of finished trainings, a line each: read, added to, written by one command at a time."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from safr_study.errors import BadInput, SafrError

Line = TypeVar("Line")


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that is only appended to; none if there is no file.

    A torn last line, of a writer that was killed, is cut off the file: the next one would be glued
    to it.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("rb+") as file:
            file.truncate(whole)
    return content[:whole].decode("utf-8").splitlines()


def append_line(path: Path, text: str) -> None:
    """Add a finished line to a file; once it returns, the line survives."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def parsed_lines(path: Path, parse: Callable[[str], Line], *, field: str) -> list[Line]:
    """The lines of a file, in its order.

    Args:
        path: need not be there.
        parse: makes a line of its text; ``ValueError`` where it is none.
        field: that an error names.

    Raises:
        BadInput: a line that is not the torn last one cannot be read.
    """
    found = []
    for number, text in enumerate(whole_lines(path), start=1):
        try:
            found.append(parse(text))
        except ValueError as error:
            raise BadInput(
                field, f"line {number} of {path.name} cannot be read ({error}); remove it"
            ) from None
    return found


def line_of(text: str, schema: int) -> dict[str, Any]:
    """The fields of a line, without its schema.

    Raises:
        ValueError: it is no line of this schema.
    """
    plain = json.loads(text)
    if not isinstance(plain, dict) or plain.pop("schema", None) != schema:
        raise ValueError(f"it is no line of schema {schema}")
    return plain


def made_of(kind: type[Line], fields: Mapping[str, Any]) -> Line:
    """A line of its fields.

    Raises:
        ValueError: one is missing, or unknown.
    """
    try:
        return kind(**fields)
    except TypeError as error:
        raise ValueError(str(error)) from None


def write_alone(
    out: Path, work: Callable[[], None], log: logging.Logger, *, refused: str | None = None
) -> int:
    """Do what adds lines to a file while nobody else does.

    Args:
        out: the file; its folder is made.
        work: adds the lines.
        log: gets a sentence where it does not end well.
        refused: why ``out`` must not be written; ``None``: it may be.

    Returns:
        The exit code: 0; 2 for bad input or another command that writes; 130 after Ctrl-C.
    """
    try:
        if refused is not None:
            raise BadInput("out", refused)
        out.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(out.with_name(f".{out.name}.lock"), timeout=0):
            work()
    except Timeout:
        log.error(f"another command writes {out.name}; wait for it")
        return 2
    except SafrError as error:
        log.error(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        log.info("interrupted; the same command goes on")
        return 130
    return 0
