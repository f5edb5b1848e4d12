"""The parts that HTML pages are made of; whatever text is given is escaped here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from safr_study.render.text_table import TextTable


@cache
def asset(name: str) -> str:
    """A style sheet or script of the folder ``assets``."""
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def document(
    title: str,
    body: str,
    *,
    styles: Sequence[str] = ("base.css",),
    scripts: Sequence[str] = ("sort.js",),
    data: Mapping[str, Any] | None = None,
) -> str:
    """A whole page in one file that needs no network: a policy in it forbids to load anything.

    Args:
        title: of the window.
        body: HTML.
        styles: of the folder ``assets``, in this order.
        scripts: the same; no other script can run.
        data: JSON values by the id of the element that holds them, for programs.
    """
    style = "\n".join(map(asset, styles))
    script = "\n".join(map(asset, scripts))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    blocks = "".join(_data(name, value) for name, value in (data or {}).items())
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f"{blocks}<script>{script}</script>\n</body>\n</html>\n"
    )


def section(name: str, heading: str, content: str) -> str:
    """A part of the page with its heading; ``content`` is HTML."""
    return (
        f'<section aria-labelledby="h-{name}"><h2 id="h-{name}">{escape(heading)}</h2>\n'
        f"{content}</section>"
    )


def table(
    columns: Iterable[str],
    rows: Iterable[Sequence[str]],
    *,
    sortable: bool = False,
    trials: Sequence[int] = (),
    name: str = "",
) -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        columns: headers; one that begins with ``>`` is aligned to the right.
        rows: cells as HTML, from `cell`, `number` or `head`.
        sortable: whether its headers sort it.
        trials: number of the trial that each row is about, if they are.
        name: what a screen reader calls it.
    """
    heads = "".join(
        f'<th scope="col"{_right(column)}>{escape(column.removeprefix(">"))}</th>'
        for column in columns
    )
    marks = [f' data-trial="{number}"' for number in trials]
    body = "\n".join(
        f"<tr{marks[place] if marks else ''}>{''.join(row)}</tr>" for place, row in enumerate(rows)
    )
    called = f' role="region" aria-label="{escape(name)}"' if name else ""
    return (
        f'<div class="scroll" tabindex="0"{called}>'
        f"<table{' data-sortable' if sortable else ''}>"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def head(text: str) -> str:
    """The cell that names its row."""
    return f'<th scope="row"><bdi>{escape(text)}</bdi></th>'


def cell(text: str) -> str:
    """A cell of text."""
    return f"<td><bdi>{escape(text)}</bdi></td>"


def number(value: float | None, digits: int, *, shown: str | None = None) -> str:
    """A cell that sorts by its exact value.

    Args:
        value: ``None``: there is none.
        digits: decimals.
        shown: text in its place.
    """
    if value is None:
        return '<td class="number" data-value="">–</td>'
    if shown is None:
        shown = f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.{digits}e}"
    return f'<td class="number" data-value="{float(value)!r}">{escape(shown)}</td>'


def definitions(facts: Mapping[str, str], kind: str = "") -> str:
    """Names and what they are; ``kind`` is a class of the style made."""
    entries = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()
    )
    return f'<dl class="{kind}">{entries}</dl>' if kind else f"<dl>{entries}</dl>"


def details(summary: str, content: str) -> str:
    """A part that is shown on request, and always on paper; ``content`` is HTML."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}</details>"


def text_table(made: TextTable) -> str:
    """A table of text with its title above it."""
    rows = [
        [
            f'<td class="number"><bdi>{escape(text)}</bdi></td>' if right else cell(text)
            for text, right in zip(row, made.right, strict=True)
        ]
        for row in made.rows
    ]
    return f"<h3>{escape(made.title)}</h3>" + table(made.columns, rows, name=made.title)


def paragraph(text: str, kind: str = "") -> str:
    """A sentence or more; ``kind`` is a class of the style made."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _right(column: str) -> str:
    return ' class="number"' if column.startswith(">") else ""


def _data(name: str, value: Any) -> str:
    # No text can close the element, nor open a comment in it.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    safe = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{escape(name)}">{safe}</script>\n'
