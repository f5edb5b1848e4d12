"""Pickles in a model's folder, found by reading what they would do and doing none of it."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from safr_study.errors import CorruptCheckpoint

_SUFFIXES = frozenset(
    (".pkl", ".pickle", ".pck", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".dill")
)
"""Formats that are pickles, or hold one."""
_MOST_BYTES = 16_000_000
"""Bytes that are looked at of a file, or of what is packed in it."""
_PREFIX = 16_384
"""Bytes that may be before a pickle."""
_MOST_DEPTH = 3
"""Packed files within packed files."""
_NAME = rb"[A-Za-z_][\w.]*"
_PROTOCOL = 0x80
_BEGINNINGS = re.compile(rb"\x80[\x02-\x05](?=[\x95c(\]})])|c%b\n%b\n(?=[(pqr)])" % (_NAME, _NAME))
"""How a pickle within a file begins: since protocol 2, and before with what it imports."""
_RUNS = frozenset(("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"))
"""Steps that call what was imported."""
_IMPORTS = frozenset(("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"))
_FEWEST_STEPS, _MOST_STEPS = 3, 2_000
"""Fewer are in any text (``N.``); so many are in nothing else."""


def refuse_pickles(folder: Path) -> None:
    """See that no file at or below a folder is a pickle, by its name or by what is in it.

    A pickle could run code while it is read. This package writes none and loads none: one that is
    there comes from elsewhere, so the rest of the folder is not to be trusted either.

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
        # The archive's list is at the end of a file, whatever is before it, as torch.save writes.
        return _holds_pickle(file.read(_MOST_BYTES)) or _in_archive(file, _MOST_DEPTH)


def _holds_pickle(content: bytes, depth: int = _MOST_DEPTH) -> bool:
    if _is_safetensors(content):
        return False
    begins = (found.start() for found in _BEGINNINGS.finditer(content, 0, _PREFIX))
    if _would_load(content) or any(_would_load(content, begin) for begin in begins):
        return True
    return depth > 0 and any(_holds_pickle(one, depth - 1) for one in _unpacked(content))


def _is_safetensors(content: bytes) -> bool:
    """Whether it begins with the length of a JSON object and that: numbers are not searched."""
    return content[8:9] == b"{" and int.from_bytes(content[:8], "little") < 100_000_000


def _would_load(content: bytes, begin: int = 0) -> bool:
    """Whether what begins here comes to run code as a pickle, or is one and the file's only one.

    The steps are read with the heights of the stack that each needs, as `pickletools.dis` does.
    Within a file words may look like a few steps of the old protocols: those count to the end.
    """
    within_text = begin > 0 and content[begin] != _PROTOCOL
    file = io.BytesIO(content)
    file.seek(begin)
    marks: list[bool] = []
    """Whether each place of the stack is a mark."""
    imported = runs = False
    try:
        for steps, (step, _, _) in enumerate(pickletools.genops(file), 1):
            taken = step.stack_before
            if pickletools.markobject in taken:
                while not marks.pop():
                    pass
                taken = taken[: taken.index(pickletools.markobject)]
            if len(taken) > len(marks):
                return False
            del marks[len(marks) - len(taken) :]
            imported |= step.name in _IMPORTS
            runs |= imported and step.name in _RUNS
            if runs and not within_text:
                return True
            if steps == _MOST_STEPS:
                return begin == 0
            if step.name == "STOP":
                alone = begin == 0 or (runs and not content[file.tell() :].strip())
                return alone and steps >= _FEWEST_STEPS and not marks
            marks += [one is pickletools.markobject for one in step.stack_after]
    except (ValueError, IndexError):
        # No step, one that is cut off, or a mark that is not there.
        return False
    return False


def _unpacked(content: bytes) -> Iterator[bytes]:
    """What is packed in it, as ``joblib`` and ``torch`` pack pickles."""
    packed = io.BytesIO(content)
    openers: dict[bytes, Callable[[Any], Any]] = {
        b"\x1f\x8b": gzip.open,
        b"BZh": bz2.open,
        b"\xfd7zXZ": lzma.open,
        b"\x5d\x00\x00": lzma.open,
    }
    for signature, opener in openers.items():
        if content.startswith(signature):
            with contextlib.suppress(OSError, EOFError, lzma.LZMAError, zlib.error):
                found: bytes = opener(packed).read(_MOST_BYTES)
                yield found
    if content[:1] == b"\x78":
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(content, _MOST_BYTES)


def _in_archive(file: IO[bytes], depth: int) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if Path(entry.filename).suffix.lower() in _SUFFIXES:
                    return True
                with archive.open(entry) as packed:
                    if _holds_pickle(packed.read(_MOST_BYTES), depth - 1):
                        return True
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError):
        # Broken, or locked: nothing reads it without being asked.
        return False
    return False
