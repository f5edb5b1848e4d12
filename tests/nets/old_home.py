"""Homes that older code left, packed so that they can be unpacked anywhere.

What a home stores about places (checkpoints, artifacts, its own commands) is absolute. In an
archive the home is at `ROOT`; unpacking writes the new folder into every text file, and into every
text of every SQLite database.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import shutil
import sqlite3
import tarfile
from collections.abc import Mapping
from pathlib import Path

HOMES = Path(__file__).parent / "homes"
SPACE = HOMES / "space.yaml"
ROOT = "/old-home"
"""The folder of every packed home."""
OLD_SPACE = "/old-space.yaml"
"""The search space in the commands that made them."""
KILLED_TRIAL = 3
"""Number of the trial that ran when the search of ``half`` was killed, two epochs on disk."""
DROPPED = ("ray", "cache")
"""Folders of a home that its next command makes again."""
DROPPED_SUFFIXES = (".png", ".svg", ".html")
"""Pictures and pages among the artifacts, which no command reads."""
_SQLITE = b"SQLite format 3\0"


def unpacked(name: str, folder: Path) -> Path:
    """The home of this name below an empty folder."""
    with tarfile.open(HOMES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    home = folder / name
    rewrite(home, {ROOT: str(home), OLD_SPACE: str(SPACE)})
    return home


def packed(home: Path, name: str, replaced: Mapping[str, str]) -> Path:
    """The archive of a home, byte for byte the same for the same files.

    Args:
        home: it stays as it is.
        name: name of the archive.
        replaced: more words of this machine, each with its replacement.
    """
    copy = home.with_name(f"{home.name}-packed") / name
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns(*DROPPED))
    for path in [path for path in copy.rglob("*") if path.suffix in DROPPED_SUFFIXES]:
        path.unlink()
    rewrite(copy, {str(home): ROOT, **replaced})
    archive = HOMES / f"{name}.tar.xz"
    HOMES.mkdir(exist_ok=True)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.add(copy, arcname=name, filter=_anonymous)
    # With a window as large as a home: a registered model is its trial's checkpoint once more.
    archive.write_bytes(lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    shutil.rmtree(copy.parent)
    return archive


def rewrite(folder: Path, words: Mapping[str, str]) -> None:
    """Replace words in every text file and database below a folder."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        if content.startswith(_SQLITE):
            _rewrite_database(path, words)
        elif b"\0" not in content:
            changed = content
            for old, new in words.items():
                changed = changed.replace(old.encode(), new.encode())
            if changed != content:
                path.write_bytes(changed)


def _rewrite_database(path: Path, words: Mapping[str, str]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = database.execute(f'PRAGMA table_info("{table}")').fetchall()
            for _, column, *_ in columns:
                for old, new in words.items():
                    database.execute(
                        f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) '
                        f'WHERE typeof("{column}") = \'text\' AND instr("{column}", ?)',
                        (old, new, old),
                    )
        database.commit()
        # The old words are still in free pages.
        database.execute("VACUUM")


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
