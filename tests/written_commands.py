"""The safr-study commands that a document shows, checked against the command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer.main

from safr_study.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = {
    name: (ROOT / name).read_text("utf-8")
    for name in (
        "README.md",
        *(f"docs/{page}.md" for page in ("studies", "models", "cluster", "cost", "how-it-works")),
    )
}
"""The README and the pages that carry on from it, by path; their commands are run in this order."""
COMMAND = re.compile(r"(?<![\w/])safr-study[ \t]+([a-z][^\n'\"`|;&#]*)")


def commands_in(text: str) -> Iterator[str]:
    """What follows ``safr-study`` in a text of shell commands, continued lines joined."""
    for found in COMMAND.finditer(re.sub(r"\\\n\s*", " ", text)):
        yield found[1].strip()


def faults(command: str) -> list[str]:
    """What the command line would not understand of a command: its name, its options.

    submit takes the options of search beside its own.
    """
    name, *rest = shlex.split(command)
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    if name not in known:
        return [f"{name} is no command"]
    takers = [known[name], *([known["search"]] if name == "submit" else [])]
    options = {
        option
        for taker in takers
        for parameter in taker.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    given = [word.partition("=")[0] for word in rest if word.startswith("-")]
    return [f"{name} has no option {option}" for option in given if option not in options]


def shell_blocks(page: str) -> list[str]:
    """The texts of a Markdown page's blocks of shell commands."""
    return re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
