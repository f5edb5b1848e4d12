"""Reads a report as a program would: its tables with their exact values, its marks, its data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Cell:
    """A cell of a table."""

    text: str = ""
    value: float | None = None
    """The exact number behind the text."""


@dataclass
class Table:
    """A table of a section."""

    name: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)

    def column(self, name: str) -> list[Cell]:
        """The cells under a header."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


class ReadPage(HTMLParser):
    """A page: its elements, closed in order, and what they hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, Table] = {}
        """By the name that a screen reader calls them."""
        self.texts: list[str] = []
        self.blocks: dict[str, str] = {}
        """Contents of script elements, by id."""
        self.charts: list[str] = []
        """Classes of the charts."""
        self.marks: dict[str, list[tuple[dict[str, str], str]]] = {}
        """Attributes and sentences of the marks, by their chart's own class."""
        self._open: list[str] = []
        self._table: Table | None = None
        self._name = ""
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.tags.append((tag, found))
        if tag not in VOID:
            self._open.append(tag)
        classes = found.get("class", "").split()
        if tag == "div" and "scroll" in classes:
            self._name = found.get("aria-label", "")
        elif tag == "table":
            self._table = self.tables[self._name] = Table(self._name)
        elif tag == "tr" and "tbody" in self._open and self._table is not None:
            self._table.rows.append([])
        elif tag in ("td", "th") and self._table is not None:
            if "thead" in self._open:
                self._table.columns.append("")
            else:
                value = found.get("data-value")
                self._table.rows[-1].append(Cell(value=float(value) if value else None))
        elif tag == "svg" and "chart" in classes:
            self.charts.append(classes[1])
        elif "mark" in classes and self.charts and "tabindex" in found:
            self.marks.setdefault(self.charts[-1], []).append((found, ""))
        elif tag == "use" and "defs" not in self._open and self.marks.get(self.charts[-1]):
            # Where the marker of the last mark is drawn; overlays of other kinds come after.
            self.marks[self.charts[-1]][-1][0].setdefault("place", f"{found['x']} {found['y']}")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            name = self.tags[-1][1].get("id", "")
            self.blocks[name] = self.blocks.get(name, "") + data
            return
        if self._open and self._open[-1] == "style":
            return
        self.texts.append(data)
        if "title" in self._open and "svg" in self._open and self.charts:
            found = self.marks.get(self.charts[-1])
            if found:
                found[-1] = (found[-1][0], data)
        if self._table is not None and ("td" in self._open or "th" in self._open):
            if "thead" in self._open:
                self._table.columns[-1] += data
            else:
                self._table.rows[-1][-1].text += data

    @property
    def text(self) -> str:
        """All that is read."""
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self) -> Any:
        """The embedded numbers."""
        return json.loads(self.blocks["study-data"])
