"""Where the files for deployment are, and the reading that their tests share."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def deploy() -> Path:
    return REPOSITORY / "deploy"


@pytest.fixture(scope="session")
def deploy_texts(deploy: Path) -> dict[str, str]:
    """The files for deployment by name, but for a .env of the person who runs the tests."""
    files = [path for path in deploy.rglob("*") if path.is_file() and path.name != ".env"]
    return {str(path.relative_to(deploy)): path.read_text("utf-8") for path in files}


@pytest.fixture(scope="session")
def words() -> Callable[[Any], list[str]]:
    """A command of Compose as its words: it may be a text or a list."""

    def split(command: Any) -> list[str]:
        return shlex.split(command) if isinstance(command, str) else list(command or [])

    return split


@pytest.fixture
def compose(deploy: Path) -> dict[str, Any]:
    """The Compose file with the defaults of its variables put in; a copy to change."""
    text = (deploy / "compose.yaml").read_text("utf-8")
    loaded = yaml.safe_load(re.sub(r"(?<!\$)\$\{\w+:-([^}]*)\}", r"\1", text))
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="session")
def published_schema() -> Callable[[str], dict[str, Any]]:
    """Reads a published schema by its file name, from outside the repository."""

    def read(name: str) -> dict[str, Any]:
        folder = os.environ.get("SAFR_STUDY_SCHEMAS", REPOSITORY.parent / "shared" / "schemas")
        path = Path(folder) / name
        if not path.is_file():
            pytest.skip(f"{name} is not at hand: set SAFR_STUDY_SCHEMAS to its folder")
        text = path.read_text("utf-8")
        # The C parser: the largest has 1.4 MB.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        schema: dict[str, Any] = (
            json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=loader)
        )
        return schema

    return read
