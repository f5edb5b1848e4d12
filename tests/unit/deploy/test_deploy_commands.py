from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from written_commands import commands_in, faults, shell_blocks


@pytest.fixture(scope="module")
def written(deploy: Path) -> list[str]:
    """Every safr-study command in the files of deploy."""
    page = (deploy / "README.md").read_text("utf-8")
    texts = shell_blocks(page)
    for path in sorted(deploy.rglob("*.yaml")):
        texts += _strings(list(yaml.safe_load_all(path.read_text("utf-8"))))
    texts.append((deploy / "slurm.sh").read_text("utf-8"))
    return [command for text in texts for command in commands_in(text)]


def test_every_command_is_understood_by_the_command_line(written: list[str]) -> None:
    assert [fault for command in written for fault in faults(command)] == []


def test_the_commands_are_found(written: list[str]) -> None:
    studies = [command for command in written if "--dataset" in command]
    assert len(studies) >= 4
    for command in studies:
        for option in ("--study", "--tracking-uri", "--storage"):
            assert option in command, command
        assert ("--ray" if command.startswith("submit ") else "--address") in command
    assert any(command.startswith("pareto ") for command in written)


def test_the_study_of_the_compose_file_is_among_them(
    compose: dict[str, Any], words: Callable[[Any], list[str]], written: list[str]
) -> None:
    program, command, *rest = words(compose["services"]["study"]["command"])
    assert (program, command) == ("safr-study", "submit")
    assert [command, *rest] in [shlex.split(command) for command in written]


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
