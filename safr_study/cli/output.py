"""What people see: results on standard output, hints and progress on standard error."""

from __future__ import annotations

import codecs
import contextlib
import gc
import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from safr_study.errors import Notice
from safr_study.records.plain import to_plain
from safr_study.redaction import redacted

if TYPE_CHECKING:
    from rich.console import Console

    from safr_study.render.text_table import TextPage, TextTable

PIPED = 110
"""Characters of a line where no terminal says how many it has."""
_quiet = False
LONG_JSON = 1_000_000
"""Characters. Indenting takes Python as long as all the rest of a command."""


def out() -> Console:
    """The console of results."""
    return _console(sys.stdout)


def err() -> Console:
    """The console of progress and hints."""
    console = _console(sys.stderr)
    console.quiet = _quiet
    return console


def warn(sentence: str) -> None:
    """Say on standard error, even with --quiet, that something is wrong though nothing failed."""
    _console(sys.stderr).print(f"warning: {redacted(sentence)}", soft_wrap=True)


def silence() -> None:
    """Show no progress and no hints any more: results, warnings and errors alone."""
    global _quiet
    _quiet = True


def say(*sentences: str) -> None:
    """Sentences among the results, each in a line of its own, however long."""
    for sentence in sentences:
        out().print(sentence, soft_wrap=True)


def hint(*sentences: str) -> None:
    """Sentences about progress, or what to do next, each in a line of its own, however long."""
    for sentence in sentences:
        err().print(sentence, soft_wrap=True)


def show(*tables: TextTable) -> None:
    """Tables among the results."""
    from safr_study.render.terminal import TerminalTable

    for table in tables:
        out().print(TerminalTable(table))


def show_page(page: TextPage) -> None:
    """A page among the results: its title, its tables, and what has to be said with them."""
    console = out()
    console.print(page.title)
    if page.lead:
        console.print(page.lead)
    console.print()
    show(*page.tables)
    for note in page.notes:
        console.print(note)


def wrote(paths: Iterable[Path]) -> None:
    """Say which files were written."""
    hint(*(f"wrote {path}" for path in paths))


def print_json(document: Any) -> None:
    """One JSON document on standard output; indented, unless it is too long to be looked at.

    It may hold records and paths. Where the output is not UTF-8 other letters are escaped.
    """
    escaped = not _is_utf8(sys.stdout)
    dump = partial(json.dumps, document, default=_plain, ensure_ascii=escaped, allow_nan=False)
    text = dump()
    if len(text) < LONG_JSON:
        text = dump(indent=2)
    sys.stdout.write(text + "\n")


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Switch Python's cyclic garbage collector off, for a command that reads much and ends.

    Tens of thousands of records are made, and none of them is garbage; the collector would look
    through all of them again and again, for half of the time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def called_as() -> list[str]:
    """This program's name, or how it was called, where the shell does not find it by name."""
    if shutil.which("safr-study"):
        return ["safr-study"]
    if Path(sys.argv[0]).name == "__main__.py":
        return [sys.orig_argv[0], "-m", "safr_study"]
    return [sys.argv[0]]


def forgiving() -> None:
    """Let no letter end the output: one that its encoding lacks is shown as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # One that was a file and became a pipe cannot be asked where it stands.
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="replace")


@contextlib.contextmanager
def notices() -> Iterator[None]:
    """Show every `Notice` as a warning of ours, each once; other warnings as Python does."""
    usual, said = warnings.showwarning, set[str]()

    def show_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, Notice):
            usual(message, category, filename, lineno, file, line)
        elif str(message) not in said:
            said.add(str(message))
            warn(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", Notice)
        warnings.showwarning = show_warning
        yield


def _is_utf8(stream: TextIO) -> bool:
    encoding = getattr(stream, "encoding", None)
    return encoding is None or codecs.lookup(encoding).name == "utf-8"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else to_plain(value)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    # What users name may hold brackets and colons: it is text, no markup.
    return Console(file=stream, width=_width(stream), highlight=False, markup=False, emoji=False)


def _width(stream: Any) -> int | None:
    """Width of a console; ``None``: rich measures the terminal, or reads ``COLUMNS``."""
    return None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else PIPED
