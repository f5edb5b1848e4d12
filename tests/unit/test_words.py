"""Docstrings can be read alone: a noun phrase or a sentence, not the end of one begun elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "safr_study"
PREPOSITIONS = {
    *("about", "above", "according", "across", "after", "against", "along", "among", "around"),
    *("as", "at", "before", "behind", "below", "beneath", "beside", "besides", "between"),
    *("beyond", "by", "despite", "down", "during", "except", "for", "from", "in", "inside"),
    *("into", "like", "near", "of", "off", "on", "onto", "out", "outside", "over", "per", "since"),
    *("through", "throughout", "to", "toward", "towards", "under", "until", "up", "upon"),
    *("via", "with", "within", "without"),
}


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring, those under an attribute too."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def fragments(source: str) -> list[tuple[int, str]]:
    """The docstrings that begin with a preposition."""
    return [
        (line, text.strip().partition("\n")[0])
        for line, text in docstrings(source)
        if text.split() and text.split()[0].rstrip(",.:;").lower() in PREPOSITIONS
    ]


def test_a_fragment_is_found_wherever_a_docstring_can_be() -> None:
    source = (
        '"""By hand."""\nx = 1\n"""Of it."""\nclass A:\n    """An a, by hand."""\n'
        '    y = "As a value"\n    def b(self):\n        """\n        With c."""\n'
    )
    assert sorted(line for line, _ in fragments(source)) == [1, 3, 8]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_docstring_begins_with_a_preposition(path: Path) -> None:
    assert fragments(path.read_text("utf-8")) == []
