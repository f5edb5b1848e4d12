"""What all figures share: colours, a blank page, and how it becomes a file."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

from safr_study.errors import BadInput

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
"""Okabe and Ito (2008): told apart with every kind of colour vision."""
DARK_GREY, GREY, LIGHT_GREY = "#303030", "#8C8C8C", "#E6E6E6"

PNG_DPI = 160
_SUFFIXES = (".png", ".svg")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # Text stays text: searchable, and read by tests.
    "svg.hashsalt": "safr-study",  # The same ids in every run.
    # Of the same widths where a page is read on a machine without DejaVu.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

_OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari", "Noto Sans Thai"),
    *("Noto Emoji", "Segoe UI Symbol", "Microsoft YaHei", "PingFang SC", "Arial Unicode MS"),
)
"""Fonts for letters that DejaVu Sans has not; those that the machine has are used."""


def blank_figure(width: float, height: float) -> Figure:
    """An empty page in inches, drawn without a window or pyplot's global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure; build and save it inside this context."""
    installed = set(get_font_names())
    families = ["sans-serif", *(name for name in _OTHER_SCRIPTS if name in installed)]
    with mpl.rc_context({**_STYLE, "font.family": families}), warnings.catch_warnings():
        # A letter that no font has is drawn as a box in a PNG; an SVG keeps it.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ ")
        yield


def checked_suffix(path: Path) -> str:
    """``png`` or ``svg``.

    Raises:
        BadInput: the file's name ends in something else.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise BadInput(
            "out", f"{path.name} is no picture that can be written; end it in .png or .svg"
        )
    return path.suffix.lower().removeprefix(".")


def save_figure(figure: Figure, path: Path) -> None:
    """Write the page; equal figures give equal files.

    Raises:
        BadInput: the file's name does not end in .png or .svg.
    """
    kind = checked_suffix(path)
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(path, format=kind, dpi=PNG_DPI, metadata=metadata)


def svg_text(figure: Figure) -> str:
    """The page as an SVG element, to be put into an HTML page."""
    page = io.StringIO()
    figure.savefig(page, format="svg", metadata={"Date": None})
    drawn = page.getvalue()
    return drawn[drawn.index("<svg") :]
