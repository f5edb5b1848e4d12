from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from safr_study.cli.app import app

COMMAND = re.compile(r"(?<![\w/])safr-study[ \t]+([a-z][^\n'\"`|;&#]*)")


def commands_in(text: str) -> Iterator[str]:
    """What follows ``safr-study`` in a text of shell commands, continued lines joined."""
    for found in COMMAND.finditer(re.sub(r"\\\n\s*", " ", text)):
        yield found[1].strip()


def faults(command: str) -> list[str]:
    """What the command line would not understand of a command: its name, its options."""
    name, *rest = shlex.split(command)
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    if name not in known:
        return [f"{name} is no command"]
    options = {
        option
        for parameter in known[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    given = [word.partition("=")[0] for word in rest if word.startswith("-")]
    return [f"{name} has no option {option}" for option in given if option not in options]


@pytest.fixture(scope="module")
def written(deploy: Path) -> list[str]:
    """Every safr-study command in the files of deploy."""
    page = (deploy / "README.md").read_text("utf-8")
    texts = re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    for name in ("compose.yaml", "ray-cluster.yaml"):
        texts += _strings(yaml.safe_load((deploy / name).read_text("utf-8")))
    return [command for text in texts for command in commands_in(text)]


def test_every_command_is_understood_by_the_command_line(written: list[str]) -> None:
    assert [fault for command in written for fault in faults(command)] == []


def test_the_commands_are_found(written: list[str]) -> None:
    searches = [command for command in written if command.startswith("search ")]
    assert len(searches) >= 4
    for command in searches:
        for option in ("--dataset", "--study", "--address", "--tracking-uri", "--storage"):
            assert option in command, command
    assert any(command.startswith("pareto ") for command in written)


def test_the_study_of_the_compose_file_is_among_them(
    compose: dict[str, Any], words: Callable[[Any], list[str]], written: list[str]
) -> None:
    program, *rest = words(compose["services"]["study"]["command"])
    assert program == "safr-study"
    assert rest in [shlex.split(command) for command in written]


def test_an_unknown_option_or_command_is_noticed() -> None:
    assert faults("search --dataset planted --trails 3") == ["search has no option --trails"]
    assert faults("serch --dataset planted") == ["serch is no command"]
    assert list(commands_in("safr-study search \\\n  --dataset a 'x'\nsafr-study:0.1.0 b")) == [
        "search  --dataset a"
    ]


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _strings(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _strings(inner)]
    return [value] if isinstance(value, str) else []
