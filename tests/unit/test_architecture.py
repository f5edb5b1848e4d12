"""docs/architecture.md names what there is."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "safr_study"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SECTIONS = {
    title: re.findall(r"^```\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
NAME = re.compile(r"\b([a-z_/]+\.py):([A-Za-z_.]+)")


def defined(path: Path) -> set[str]:
    """Functions, classes and methods of a module, methods as ``Class.method``."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (one.name for one in node.body if isinstance(one, ast.FunctionDef))
            names.update(f"{node.name}.{method}" for method in methods)
    return names


def missing(text: str) -> list[str]:
    """The names ``path.py:name`` of a text that are not in the package."""
    return [
        f"{path}:{name}"
        for path, name in NAME.findall(text)
        if not (PACKAGE / path).exists() or name not in defined(PACKAGE / path)
    ]


def test_every_module_and_function_named_on_the_page_exists() -> None:
    assert len(NAME.findall(PAGE)) > 15
    assert missing(PAGE) == []


def test_a_name_that_went_away_is_noticed() -> None:
    assert missing("errors.py:SafrError errors.py:Nobody nowhere.py:f") == [
        "errors.py:Nobody",
        "nowhere.py:f",
    ]


def test_every_path_in_the_decisions_exists() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text("utf-8")
    paths = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+(?:\.[a-z]+)?)`", text))
    assert len(paths) > 10
    assert [
        one for one in paths if not (PACKAGE / one).exists() and not (ROOT / one).exists()
    ] == []


def test_the_tree_has_every_folder_of_the_first_two_levels_once() -> None:
    (tree,) = SECTIONS["The tree"]
    folders, parent = [], ""
    for line in tree.splitlines():
        name = line.split()[0]
        parent = parent if line.startswith(" ") else name
        folders.append(parent + name if line.startswith(" ") else name)
    existing = {
        f"{path.parent.relative_to(PACKAGE)}/"
        for path in PACKAGE.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and len(path.relative_to(PACKAGE).parts) in (2, 3)
    }
    assert sorted(folders) == sorted(existing)
    floor = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert {name for name in floor if f"`{name}`" not in PAGE} == set()


def test_the_layers_are_those_that_the_imports_are_held_to() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = (
        one
        for one in project["tool"]["importlinter"]["contracts"]
        if one["type"] == "layers" and one["containers"] == ["safr_study"]
    )
    (layers,) = SECTIONS["The layers"]
    assert layers.splitlines() == contract["layers"]
