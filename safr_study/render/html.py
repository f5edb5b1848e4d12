"""HTML pages from Jinja2 templates, which escape whatever text they are given."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from safr_study.records.explanation import Explanation
from safr_study.render.format import (
    TINT_COLOURS,
    half_widths,
    objective_columns,
    tint,
    trial_badges,
    value_text,
    word_facts,
)
from safr_study.render.text_table import markdown_code, markdown_escaped


@cache
def asset(name: str) -> str:
    """A style sheet or script of the folder ``assets``."""
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def rendered(template: str, **values: Any) -> str:
    """A template with its values; ``.html`` is escaped, whatever is no ``Markup``.

    Args:
        template: its path in the package, ``render/assets/page.html``.
        values: by the names that the template gives them.
    """
    return _environment().get_template(template).render(values)


def document(
    template: str,
    title: str,
    *,
    styles: Sequence[str] = ("base.css",),
    scripts: Sequence[str] = ("sort.js",),
    data: Mapping[str, Any] | None = None,
    **values: Any,
) -> str:
    """A whole page in one file that needs no network: a policy in it forbids to load anything.

    Args:
        template: of the page's body.
        title: of the window; the body has it too.
        styles: of the folder ``assets``, in this order.
        scripts: the same; no other script can run.
        data: JSON values by the id of the element that holds them, for programs.
        values: what the body's template needs.
    """
    script = "\n".join(map(asset, scripts))
    return rendered(
        "render/assets/page.html",
        title=title,
        body=Markup(rendered(template, title=title, **values)),
        style=Markup("\n".join(map(asset, styles))),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data={name: _json(value) for name, value in (data or {}).items()},
    )


def explanation_html(explanation: Explanation) -> str:
    """A prediction and its text in a notebook's cell, each word on a tint of its capacity."""
    largest = max((word.capacity for word in explanation.words), default=0.0)
    return rendered("render/assets/explanation_cell.html", explanation=explanation, largest=largest)


def number(value: float | None, digits: int = 0, shown: str | None = None) -> Markup:
    """A cell of a table that sorts by its exact value.

    Args:
        value: ``None``: there is none.
        digits: decimals.
        shown: text in its place.
    """
    if value is None:
        return Markup('<td class="number" data-value="">–</td>')
    if shown is None:
        shown = f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.{digits}e}"
    # There are thousands on a page, and Markup.format is slow.
    return Markup(f'<td class="number" data-value="{float(value)!r}">{escape(shown)}</td>')


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("safr_study", "."),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {
        one.__name__: one
        for one in (
            half_widths,
            number,
            objective_columns,
            tint,
            trial_badges,
            value_text,
            word_facts,
            zip,
        )
    }
    made.filters |= {"plain": markdown_escaped, "code": markdown_code}
    made.globals |= {"colours": TINT_COLOURS}
    return made


def _json(value: Any) -> Markup:
    # No text can close the element, nor open a comment in it.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
