"""Facts of the repository that no other check holds."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from safr_study.settings import SearchSpace

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_LINES = 400
"""Of a source file; longer ones are to be divided."""
MAX_BYTES = 1_000_000
"""Of a tracked file: data and models do not belong here."""
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.$}])/(?:work|root)/"),
    "a number of the tracker": re.compile(r"\bissue (?:[A-Z]\b|#?\d)", re.IGNORECASE),
}
FORBIDDEN_TO_USERS = {"a folder outside the checkout": re.compile(r"shared/data")}
SPACES = sorted((REPOSITORY / "search_spaces").glob("*.yaml"))
SOURCES = sorted((REPOSITORY / "safr_study").rglob("*.py"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    loaded = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    table: dict[str, Any] = loaded["project"]
    return table


@pytest.fixture(scope="module")
def requirements(project: dict[str, Any]) -> list[str]:
    """Everything that the project depends on directly, extras included."""
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(text for extra in extras for text in extra)]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The text files that git tracks, or would track, by their path."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not in a git checkout: nothing says which files are the project's")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        path = REPOSITORY / name
        if path.is_file():
            assert path.stat().st_size <= MAX_BYTES, f"{name} is too large for the repository"
            content = path.read_bytes()
            if b"\0" not in content:
                found[name] = content.decode("utf-8")
    return found


def test_every_dependency_says_what_it_is_for(requirements: list[str]) -> None:
    lines = (REPOSITORY / "pyproject.toml").read_text("utf-8").splitlines()
    for text in requirements:
        (line,) = [line for line in lines if f'"{text}"' in line]
        comment = line.rpartition("#")[2] if "#" in line else ""
        assert len(comment.split()) >= 1, f"{text} has no comment"


def test_every_direct_dependency_is_pinned_within_its_range(requirements: list[str]) -> None:
    pins = {}
    for line in (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "==", f"{line} is no pin"
            pins[canonicalize_name(pin.name)] = specifier.version
    wanted = [Requirement(text) for text in requirements]
    assert [r.name for r in wanted if canonicalize_name(r.name) not in pins] == []
    outside = [r for r in wanted if pins[canonicalize_name(r.name)] not in r.specifier]
    assert outside == []


def test_no_text_speaks_of_one_machine_or_of_the_tracker(texts: dict[str, str]) -> None:
    assert "pyproject.toml" in texts
    assert [
        f"{name}: {what}: {found[0]}"
        for name, text in texts.items()
        for what, pattern in FORBIDDEN.items()
        if (found := pattern.search(text))
    ] == []


def test_documents_name_the_data_by_its_variable(texts: dict[str, str]) -> None:
    documents = {name: text for name, text in texts.items() if name.endswith(".md")}
    assert documents
    assert [
        f"{name}: {what}"
        for name, text in documents.items()
        for what, pattern in FORBIDDEN_TO_USERS.items()
        if pattern.search(text)
    ] == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("see " + "/work" + "/main/x", True),
        ("'" + "/root" + "/data'", True),
        ("an " + "issue" + " B", True),
        ("network/work/shape", False),
        ("an issue of taste", False),
    ],
)
def test_the_forbidden_words_are_noticed(text: str, bad: bool) -> None:
    assert any(pattern.search(text) for pattern in FORBIDDEN.values()) is bad


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_source_files_stay_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_search_space_is_valid_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text("utf-8")
    first = text.splitlines()[0]
    assert first.startswith("# ")
    assert len(first.split()) > 4
    space = SearchSpace.parse(yaml.safe_load(text), where=path.name)
    assert space.name == path.stem
    assert space.description


def test_there_are_search_spaces_and_sources() -> None:
    # Empty lists would pass the tests above.
    assert {"lambda", "smoke"} <= {path.stem for path in SPACES}
    assert REPOSITORY / "safr_study" / "errors.py" in SOURCES
