"""Linters over the deploy files, each with a control that it can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def linter(name: str) -> str:
    """A program of the development extra, beside this interpreter."""
    path = Path(sys.executable).with_name(name)
    if not path.is_file():
        pytest.skip(f"{name} is not installed: pip install 'safr-study[dev]'")
    return str(path)


def told(*command: str) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_the_containerfile_pleases_hadolint(deploy: Path) -> None:
    assert told(linter("hadolint"), str(deploy / "Containerfile")) == (0, "")


def test_hadolint_notices_a_base_image_without_a_version(tmp_path: Path) -> None:
    path = tmp_path / "Containerfile"
    path.write_text("FROM python\nUSER 1000\n", encoding="utf-8")
    code, said = told(linter("hadolint"), "--no-color", str(path))
    assert code == 1
    assert "DL3006" in said


def test_the_scripts_please_shellcheck(deploy: Path, repository: Path) -> None:
    scripts = [*deploy.glob("*.sh"), repository / ".ci" / "run"]
    assert len(scripts) >= 2
    assert told(linter("shellcheck"), *map(str, scripts)) == (0, "")


def test_shellcheck_notices_a_word_that_falls_apart(tmp_path: Path) -> None:
    path = tmp_path / "script.sh"
    path.write_text("#!/bin/sh\nrm -r $1/x\n", encoding="utf-8")
    code, said = told(linter("shellcheck"), str(path))
    assert code == 1
    assert "SC2086" in said


def test_the_yaml_files_please_yamllint(deploy: Path) -> None:
    assert len(list(deploy.rglob("*.yaml"))) >= 8
    rules = str(deploy / ".yamllint.yaml")
    assert told(linter("yamllint"), "--strict", "--config-file", rules, str(deploy)) == (0, "")


def test_yamllint_notices_a_key_that_is_given_twice(deploy: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("a: 1\na: 2\n", encoding="utf-8")
    rules = str(deploy / ".yamllint.yaml")
    code, said = told(linter("yamllint"), "--strict", "--config-file", rules, str(path))
    assert code == 1
    assert 'duplication of key "a"' in said
