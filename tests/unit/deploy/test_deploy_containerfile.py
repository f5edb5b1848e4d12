from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

INSTRUCTIONS = {
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
}


def parse(text: str) -> list[tuple[str, str]]:
    """Instructions and their arguments; comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (name, rest.strip())
        for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether a .dockerignore leaves a path out: the last pattern that fits it decides."""
    left_out = False
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if fnmatch.fnmatch(path, bare) or path.startswith(f"{bare}/"):
            left_out = not pattern.startswith("!")
    return left_out


@pytest.fixture(scope="module")
def instructions(deploy: Path) -> list[tuple[str, str]]:
    return parse((deploy / "Containerfile").read_text("utf-8"))


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    loaded = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    table: dict[str, Any] = loaded["project"]
    return table


@pytest.fixture(scope="module")
def ignore_patterns(repository: Path) -> list[str]:
    lines = (repository / ".dockerignore").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def arguments(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for instruction, rest in instructions if instruction == name]


def test_every_instruction_is_known(instructions: list[tuple[str, str]]) -> None:
    assert {name for name, _ in instructions} <= INSTRUCTIONS
    assert all(rest for _, rest in instructions)
    assert instructions[0][0] in {"ARG", "FROM"}


def test_an_unknown_instruction_is_noticed() -> None:
    assert parse("FROM a:1\n# RUM x\nRUN a \\\n  && b\nRUM c") == [
        ("FROM", "a:1"),
        ("RUN", "a  && b"),
        ("RUM", "c"),
    ]


def test_the_base_image_is_pinned_to_a_supported_python(
    instructions: list[tuple[str, str]], project: dict[str, Any]
) -> None:
    bases = arguments(instructions, "FROM")
    assert bases
    least = tuple(int(part) for part in project["requires-python"].removeprefix(">=").split("."))
    for base in bases:
        found = re.fullmatch(r"python:(\d+)\.(\d+)[\w.-]*(@sha256:[0-9a-f]{64})?", base)
        assert found is not None, base
        assert (int(found[1]), int(found[2])) >= least


def test_nothing_is_taken_as_latest(deploy_texts: dict[str, str]) -> None:
    assert [name for name, text in deploy_texts.items() if ":latest" in text] == []


def test_it_runs_as_a_numbered_user_who_is_not_root(
    instructions: list[tuple[str, str]],
) -> None:
    users = arguments(instructions, "USER")
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    last = [name for name, _ in instructions if name in {"USER", "RUN", "COPY", "ADD"}][-1]
    assert last == "USER"


def test_whatever_is_copied_exists_and_is_sent_to_the_builder(
    instructions: list[tuple[str, str]], repository: Path, ignore_patterns: list[str]
) -> None:
    copies = arguments(instructions, "COPY")
    assert copies
    assert not arguments(instructions, "ADD")
    for copy in copies:
        *sources, _target = copy.split()
        for source in sources:
            assert (repository / source).exists(), f"{source} is not in the repository"
            assert not ignored(source, ignore_patterns), f".dockerignore leaves out {source}"


@pytest.mark.parametrize(
    "path", [".git", ".venv/bin/python", "deploy/.env", ".safr-study/mlflow.db"]
)
def test_secrets_and_rubbish_are_not_sent_to_the_builder(
    path: str, ignore_patterns: list[str]
) -> None:
    assert ignored(path, ignore_patterns)


def test_packages_are_installed_in_the_tested_versions(
    instructions: list[tuple[str, str]], project: dict[str, Any]
) -> None:
    installs = [run for run in arguments(instructions, "RUN") if "pip install" in run]
    torch, rest = installs
    assert "--no-deps" in torch
    assert "grep '^torch==' constraints.txt" in torch
    assert "--constraint constraints.txt" in rest
    assert {"'ray[default]'", "'mlflow[auth]'"} <= set(rest.split())
    extras = re.search(r"'\.\[([\w,-]+)\]'", rest)
    assert extras is not None
    assert {"postgres", "s3"} <= set(extras[1].split(",")) <= set(project["optional-dependencies"])


def test_torch_comes_from_an_index_that_the_builder_may_name(
    instructions: list[tuple[str, str]], deploy: Path
) -> None:
    (index,) = [rest for rest in arguments(instructions, "ARG") if rest.startswith("TORCH_INDEX=")]
    assert index.endswith("/cpu")
    page = (deploy / "README.md").read_text("utf-8")
    assert f"--build-arg {index.removesuffix('cpu')}cu130" in page


def test_health_is_that_of_a_page_whose_address_the_service_names(
    instructions: list[tuple[str, str]],
) -> None:
    (check,) = arguments(instructions, "HEALTHCHECK")
    shell, option, script = json.loads(check[check.index("CMD") + len("CMD") :])
    assert (shell, option) == ("sh", "-c")

    def ends(url: str) -> int:
        environment = {"PATH": os.environ["PATH"], "HEALTH_URL": url}
        return subprocess.run([shell, option, script], env=environment, check=False).returncode

    assert ends("") == 0
    if shutil.which("curl"):
        assert ends("http://127.0.0.1:9/health") != 0


def test_no_secret_is_built_in(instructions: list[tuple[str, str]]) -> None:
    names = re.compile(r"(?:^|\s)\w*(?:PASSWORD|TOKEN|SECRET|CREDENTIAL|ACCESS_KEY)\w*=")
    settings = arguments(instructions, "ENV") + arguments(instructions, "ARG")
    assert settings
    assert [setting for setting in settings if names.search(setting)] == []


def test_the_entry_point_is_a_command_of_the_project(
    instructions: list[tuple[str, str]], project: dict[str, Any]
) -> None:
    (entry,) = arguments(instructions, "ENTRYPOINT")
    (program,) = json.loads(entry)
    assert program in project["scripts"]
