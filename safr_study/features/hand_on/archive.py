"""The file of a study that is handed on: a zip of known names, with a checksum of each.

``SHA256SUMS`` lists all files but itself, as ``sha256sum -c`` reads it; ``manifest.json`` says what
version of this format it is. Nothing else is in it. What is read is written to a new folder, and
only as far as it is no larger than it says.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import IO, Literal

from pydantic import Field

from safr_study.checkpoint.manifest import MANIFEST as MODEL_MANIFEST
from safr_study.checkpoint.manifest import MAX_BYTES, MODEL, VOCABULARY, WEIGHTS
from safr_study.data import TOKENIZER
from safr_study.errors import BadInput, BadInputs
from safr_study.ledger.hand_on import CHECKPOINTS, CONFIRMED
from safr_study.settings import Settings
from safr_study.settings.study import STUDY_NAME_PATTERN
from safr_study.text import first_line, size

SCHEMA_VERSION = 1
"""Version of the format; raise it when a file is added or changes its meaning."""
LEDGER, MANIFEST, SUMS = "ledger.journal", "manifest.json", "SHA256SUMS"
CRATE, DATA, PAGE = "ro-crate-metadata.json", "croissant.json", "report.html"
MODEL_FILES = (MODEL_MANIFEST, WEIGHTS, VOCABULARY, TOKENIZER)
"""Files of a model that are handed on, as far as it has them."""
_MODEL_FILE = re.compile(
    rf"{CHECKPOINTS}/(?:\d{{5,9}}|{CONFIRMED}/\d{{5,9}}-\d{{1,19}})/{MODEL}/"
    rf"(?P<name>{'|'.join(map(re.escape, MODEL_FILES))})"
)
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>\S+)")
_MOST = {LEDGER: 2_000_000_000, PAGE: 1_000_000_000, SUMS: 100_000_000}
_MOST |= dict.fromkeys((MANIFEST, CRATE, DATA), 100_000_000)
"""Bytes of the largest file of each name that is read."""
_MOST_FILES = 200_000
_MOST_RATIO, _SMALL = 200, 1_000_000
"""Times that a file may be larger than what is packed of it, unless it is small, in bytes."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every file: the earliest that a zip can have."""
_CHUNK = 1 << 20
_TORN: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,
    OverflowError,
    struct.error,
)
"""What Python raises over files that are no zip, or no whole one."""


class Manifest(Settings):
    """The contents of ``manifest.json``."""

    schema_version: Literal[1] = 1
    safr_study: str = Field(max_length=64)
    """Version that wrote it."""
    study: str = Field(pattern=STUDY_NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Packed:
    """A file of an archive."""

    size: int
    """Bytes."""
    sha256: str
    """Digest of its contents, hexadecimal."""


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """An archive that is being written; the same files give the same bytes."""

    zip: zipfile.ZipFile
    files: dict[str, Packed] = field(default_factory=dict)
    """What it has by now, by name."""

    def add(self, name: str, content: Path | str) -> None:
        """Write a file, or a text in UTF-8.

        Raises:
            BadInput: the file changes meanwhile.
        """
        info = zipfile.ZipInfo(name, _EPOCH)
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        # Weights are noise, which takes time to pack and does not shrink.
        packed = not name.endswith(WEIGHTS)
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        digest = hashlib.sha256()
        if isinstance(content, str):
            data = content.encode()
            digest.update(data)
            self.zip.writestr(info, data)
            self.files[name] = Packed(len(data), digest.hexdigest())
            return
        info.file_size = content.stat().st_size
        with content.open("rb") as source, self.zip.open(info, "w") as target:
            try:
                _copied(source, target, digest.update, info.file_size)
            except ValueError as error:
                raise BadInput("study", f"{content} has just changed; export it again") from error
        self.files[name] = Packed(info.file_size, digest.hexdigest())

    def add_json(self, name: str, document: object) -> None:
        """Write a document."""
        self.add(name, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def new_archive(out: Path) -> Iterator[Archive]:
    """A new archive, which gets its checksums and its name at the end of the block.

    Of a block that fails nothing stays.

    Raises:
        BadInput: it cannot be written.
    """
    unfinished = out.with_name(f".{out.name}.part")
    try:
        with zipfile.ZipFile(unfinished, "w") as opened:
            made = Archive(opened)
            yield made
            made.add(SUMS, _sums({name: one.sha256 for name, one in made.files.items()}))
        unfinished.replace(out)
    except OSError as error:
        raise BadInput("out", f"{out} cannot be written ({error.strerror or error})") from error
    finally:
        unfinished.unlink(missing_ok=True)


def unpack(file: Path, folder: Path) -> Manifest:
    """Write the files of an archive into an empty folder, each as its checksum says.

    Args:
        file: the archive, of which nothing is believed.
        folder: of the files.

    Raises:
        BadInput: it is no archive of a study, not whole, or changed; names the field ``file``.
    """
    try:
        with zipfile.ZipFile(file) as opened:
            members = _checked(opened.infolist(), shutil.disk_usage(folder).free)
            found = {}
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                digest = hashlib.sha256()
                with opened.open(member) as source, target.open("xb") as written:
                    _copied(source, written, digest.update, member.file_size)
                found[member.filename] = digest.hexdigest()
    except FileNotFoundError as error:
        raise BadInput("file", f"there is no {file}") from error
    except OSError as error:
        raise BadInput("file", f"{file} cannot be unpacked ({error.strerror or error})") from error
    except _TORN as error:
        raise _bad(f"it is no whole zip ({first_line(error)})") from error
    listed = (folder / SUMS).read_bytes()
    _check_sums(listed, {name: sum_ for name, sum_ in found.items() if name != SUMS})
    return _manifest(folder / MANIFEST)


def _checked(members: list[zipfile.ZipInfo], free: int) -> list[zipfile.ZipInfo]:
    """The members, if all of them may be written.

    Raises:
        BadInput: a name is unknown or there twice, something is no plain file, or too large.
    """
    names = [member.filename for member in members]
    if len(names) > _MOST_FILES:
        raise _bad(f"it has more than {_MOST_FILES:,} files")
    repeated, times = max(Counter(names).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        raise _bad(f"{repeated!r} is in it twice")
    for member in members:
        name = member.filename
        found = _MODEL_FILE.fullmatch(name)
        if found is None and name not in _MOST:
            raise _bad(f"it has {name!r}, which no study has")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _bad(f"{name!r} is no plain file")
        if member.flag_bits & 0x1:
            raise _bad(f"{name!r} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _bad(f"{name!r} is packed in a way that is not read")
        most = _MOST.get(name) if found is None else MAX_BYTES.get(found["name"])
        if most is not None and member.file_size > most:
            raise _bad(f"{name!r} is larger than {size(most)}")
        if member.file_size > max(_SMALL, _MOST_RATIO * member.compress_size):
            raise _bad(f"{name!r} would be more than {_MOST_RATIO} times as large as it is packed")
    if missing := sorted({LEDGER, MANIFEST, SUMS, CRATE, DATA} - set(names)):
        raise _bad(f"it lacks {', '.join(missing)}")
    total = sum(member.file_size for member in members)
    if total > free:
        raise BadInput("file", f"its files take {size(total)}, and {size(free)} of disk are free")
    return members


def _check_sums(listed: bytes, found: dict[str, str]) -> None:
    """See that each file is what the list says, and the list as it is written.

    Raises:
        BadInput: a file, or the list, has changed.
    """
    if listed == _sums(found).encode():
        return
    lines = [_LINE.fullmatch(line) for line in listed.decode(errors="replace").splitlines()]
    said = {line["name"]: line["sum"] for line in lines if line is not None}
    changed = next((name for name in found if said.get(name) != found[name]), SUMS)
    raise _bad(f"{changed!r} does not match its checksum")


def _manifest(path: Path) -> Manifest:
    try:
        plain = json.loads(path.read_text("utf-8"))
        version = plain["schema_version"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _bad(f"{MANIFEST} cannot be read") from error
    if version != SCHEMA_VERSION:
        raise BadInput(
            "file",
            f"it is of version {str(version)[:20]!r} of its format, and this version of safr-study "
            f"reads {SCHEMA_VERSION}; use the version that wrote it",
        )
    try:
        return Manifest.parse(plain, where=MANIFEST)
    except BadInputs as error:
        raise _bad(str(error.faults[0])) from error


def _sums(digests: dict[str, str]) -> str:
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))


def _copied(
    source: IO[bytes], target: IO[bytes], see: Callable[[bytes], object], size: int
) -> None:
    """Copy a file piece by piece.

    Raises:
        ValueError: it is larger or smaller than ``size``, in bytes.
    """
    left = size
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            break
        see(chunk)
        target.write(chunk)
    if left:
        raise ValueError("a file is not as large as it says")


def _bad(problem: str) -> BadInput:
    return BadInput("file", f"{problem}; it was changed or is no exported study: ask for it anew")
