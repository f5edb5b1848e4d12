"""Common parts of all figures: colours, an empty page, its way into a file or an HTML page."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.lines import Line2D

from safr_study.errors import BadInput, Notice
from safr_study.records import StudyResult
from safr_study.settings import POINTS, Objective
from safr_study.text import plural

Point = tuple[float, float]
Ends = tuple[float, float]
"""Lower and upper end of an interval."""
Look = dict[str, Any]
"""Keyword arguments of one of matplotlib's artists."""

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
"""Okabe and Ito (2008): told apart with every kind of colour vision."""
WHITE, DARK_GREY, GREY, LIGHT_GREY = "#FFFFFF", "#303030", "#8C8C8C", "#E6E6E6"
SERIES: tuple[tuple[str, str, Any], ...] = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (BLACK, "^", ":"),
    (GREEN, "D", "-."),
    (PURPLE, "p", "-"),
    (ORANGE, "v", "--"),
)
"""Colour, marker and line of each of several studies or models: told apart without colour too."""

PNG_DPI = 160
_SUFFIXES = (".png", ".svg")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # Text stays text: searchable, and read by tests.
    "svg.hashsalt": "safr-study",  # The same ids in every run.
    "text.parse_math": False,  # A dollar sign in a name is a dollar sign.
    # Of the same widths where a page is read on a machine without DejaVu.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_TITLE_PER_INCH, _CAPTION_PER_INCH = 10.0, 15.0
"""Characters in a line: a data set may be a long path."""
_SMALLEST_MARGIN, _SMALLEST_SHARE = 0.5, 0.01
"""Left around points, so that equal ones have room: percentage points, and other units."""
_SIGN_WIDTH, _SIGN_HEIGHT = 0.3, 0.18
"""Inches of a sign of a chart's legend."""
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that no SVG may hold."""

_NO_GLYPH = re.compile(r"Glyph (\d+) ")
"""Beginning of matplotlib's warning that no font has a letter, which it names by its code."""
_LETTERS_SHOWN = 5
_OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari", "Noto Sans Thai"),
    *("Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans KR", "Noto Sans JP", "Noto Sans SC"),
    *("Noto Emoji", "Segoe UI Symbol", "Microsoft YaHei", "PingFang SC", "Arial Unicode MS"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAGothic", "Malgun Gothic", "Unifont"),
)
"""Fonts for letters that DejaVu Sans has not; those that the machine has are used."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture as part of an HTML page, which themes it and names its marks."""

    svg: str
    """An SVG element without title and legend."""
    legend: tuple[tuple[str, str], ...]
    """An SVG element of each sign, and what it means."""


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
        # An SVG keeps a letter that no font has; who writes a PNG says it.
        warnings.filterwarnings("ignore", message=_NO_GLYPH.pattern)
        yield


@dataclass(frozen=True, slots=True)
class Page:
    """A picture's file and its words."""

    path: Path
    """Ends in .png or .svg; its folder exists."""
    title: str
    """Words above it."""
    caption: str = ""
    """Words below it."""

    @contextmanager
    def figure(self, width: float, height: float) -> Iterator[Figure]:
        """An empty page of so many inches with its words, which is written when the block ends.

        Raises:
            BadInput: the file's name does not end in .png or .svg.
        """
        checked_suffix(self.path)
        with style():
            figure = titled_figure(width, height, self.title, self.caption)
            yield figure
            save_figure(figure, self.path)


def titled_figure(width: float, height: float, title: str, caption: str) -> Figure:
    """An empty page in inches with its title above and its caption below; use it inside `style`.

    Both are broken into lines, and have the ids ``title`` and ``caption`` in an SVG.
    """
    figure = blank_figure(width, height)
    filled = textwrap.fill(title, round(width * _TITLE_PER_INCH))
    figure.suptitle(filled, fontweight="bold", x=0.01, ha="left", gid="title")
    filled = textwrap.fill(caption, round(width * _CAPTION_PER_INCH))
    figure.supxlabel(filled, fontsize=8, color=DARK_GREY, x=0.01, ha="left", gid="caption")
    return figure


def chart(width: float, height: float, draw: Callable[[Axes], object]) -> Chart:
    """A picture of one panel for an HTML page.

    Args:
        width: inches.
        height: inches.
        draw: fills the panel; what it draws with a label is in the legend.
    """
    with style():
        figure = blank_figure(width, height)
        figure.patch.set_visible(False)
        axes = figure.subplots()
        axes.patch.set_visible(False)
        # Where letters are enlarged, on small screens, numbers stay clear of the axis' name.
        axes.yaxis.labelpad = 9
        draw(axes)
        legend = tuple((_sign(sign), name) for name, sign in _legend_entries(axes).items())
        return Chart(svg_text(figure), legend)


def add_grid(axes: Axes, axis: Any = "both") -> None:
    """Faint lines behind what is drawn, across ``x``, ``y`` or ``both``."""
    axes.grid(axis=axis, color=LIGHT_GREY, linewidth=0.6)
    axes.set_axisbelow(True)


def add_legend(figure: Figure, *panels: Axes) -> None:
    """What these panels draw with a label, right of the picture; each label once."""
    entries = _legend_entries(*panels)
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside right upper",
            frameon=False,
            labelspacing=0.6,
        )


def set_plane(axes: Axes, objectives: tuple[Objective, Objective], points: Sequence[Point]) -> None:
    """Name the axes and turn them so that better is to the right and upwards.

    Args:
        axes: empty.
        objectives: of the horizontal and the vertical axis.
        points: for which there is to be room.
    """
    add_grid(axes)
    axes.set(xlabel=objectives[0].axis, ylabel=objectives[1].axis)
    if points:
        xs, ys = zip(*points, strict=True)
        axes.set(xlim=_with_margin(xs, objectives[0]), ylim=_with_margin(ys, objectives[1]))
    axes.xaxis.set_inverted(not objectives[0].maximise)
    axes.yaxis.set_inverted(not objectives[1].maximise)


def say_empty(axes: Axes, sentence: str) -> None:
    """A sentence in the place of a picture."""
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center")
    axes.set(xticks=[], yticks=[])


def draw_front(
    axes: Axes, points: Iterable[Point], *, tint: float = 0.0, **look: Any
) -> list[Point]:
    """Draw the line under which a front dominates, from the left edge to the bottom.

    Args:
        axes: limits are final; better is to the right and upwards.
        points: data coordinates of the front's members; none has no line.
        tint: opacity of the colour below the line, where all is dominated.
        look: of the line.

    Returns:
        The line's corners.
    """
    (left, right), bottom = axes.get_xlim(), axes.get_ylim()[0]
    members = sorted(set(points), reverse=bool(right < left))
    if not members:
        return []
    corners = [(left, members[0][1])]
    for (x, y), (_, below) in pairwise([*members, (left, bottom)]):
        corners += [(x, y), (x, below)]
    xs, ys = zip(*corners, strict=True)
    axes.plot(xs, ys, **look)
    if tint:
        area = {"color": look["color"], "alpha": tint, "linewidth": 0, "zorder": 1}
        axes.fill_between(xs, ys, bottom, **area)
    return corners


def draw_intervals(
    axes: Axes,
    at: Point,
    intervals: tuple[Ends | None, Ends | None],
    gids: tuple[str | None, str | None] = (None, None),
    **look: Any,
) -> list[list[Point]]:
    """Draw bars through a point along both axes.

    Args:
        axes: its limits are final.
        at: the point.
        intervals: ends of the horizontal and the vertical bar; ``None``: there is none.
        gids: ids of the two in an SVG.
        look: of the lines.

    Returns:
        The two ends of each bar.
    """
    (x, y), (across, up) = at, intervals
    bars = [across and [(end, y) for end in across], up and [(x, end) for end in up]]
    for bar, gid in zip(bars, gids, strict=True):
        if bar is not None:
            axes.add_line(Line2D(*zip(*bar, strict=True), gid=gid, **look))
    return [bar for bar in bars if bar is not None]


def cross_saturated(axes: Axes, points: Sequence[Point], gid: str | None = None) -> None:
    """Draw a cross on each point at which the predictions have collapsed."""
    if points:
        axes.plot(
            *zip(*points, strict=True),
            "x",
            markersize=9,
            color=BLACK,
            markeredgewidth=1.1,
            linestyle="none",
            zorder=4.6,
            gid=gid,
            label="saturated: one class\nhas over 95 % of\nthe predictions",
        )


def reference_words(result: StudyResult) -> str:
    """A study's hypervolume with the point that it is measured from, for a caption."""
    reference = ", ".join(
        f"{Objective(name=name).label} {value:.4g}{' %' if name == 'accuracy' else ''}"
        for name, value in zip(result.objectives, result.reference_point, strict=True)
    )
    return f"hypervolume {result.hypervolume:.5g} from the reference point ({reference})"


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

    Letters that no font has are boxes in a PNG: a `Notice` names them.

    Raises:
        BadInput: the file's name does not end in .png or .svg.
    """
    kind = checked_suffix(path)
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message=_NO_GLYPH.pattern)
        figure.savefig(path, format=kind, dpi=PNG_DPI, metadata=metadata)
    lacking = _letters(caught)
    if lacking and kind == "png":
        warnings.warn(
            f"{path.name} has boxes in the place of {lacking}, which no font of this machine has; "
            "install one, for example a Noto font, or draw an SVG, which keeps them",
            Notice,
            stacklevel=2,
        )


def _letters(caught: Iterable[warnings.WarningMessage]) -> str:
    """The letters of which matplotlib said that no font has them, in a sentence."""
    found = (_NO_GLYPH.match(str(one.message)) for one in caught)
    codes = list(dict.fromkeys(int(match[1]) for match in found if match is not None))
    shown = ", ".join(repr(chr(code)) for code in codes[:_LETTERS_SHOWN])
    more = len(codes) - _LETTERS_SHOWN
    return shown + (f" and {plural(more, 'other letter')}" if more > 0 else "")


def svg_text(figure: Figure) -> str:
    """The page as an SVG element, to be put into an HTML page."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    drawn = target.getvalue()
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", drawn[drawn.index("<svg") :])


def _legend_entries(*panels: Axes) -> dict[str, Line2D]:
    found = (axes.get_legend_handles_labels() for axes in panels)
    pairs = (pair for handles, names in found for pair in zip(names, handles, strict=True))
    return {name: cast("Line2D", handle) for name, handle in pairs}


def _with_margin(values: Sequence[float], objective: Objective) -> Point:
    smallest = _SMALLEST_MARGIN if objective.measure.unit == POINTS else _SMALLEST_SHARE
    margin = max(0.1 * (max(values) - min(values)), smallest)
    return min(values) - margin, max(values) + margin


def _sign(handle: Line2D) -> str:
    """A line or marker alone, as a legend shows it."""
    figure = blank_figure(_SIGN_WIDTH, _SIGN_HEIGHT)
    figure.set_layout_engine("none")
    figure.patch.set_visible(False)
    # A line has its marker in the middle.
    ends = [0.5] if handle.get_linestyle() == "None" else [0.05, 0.5, 0.95]
    sign = Line2D(ends, [0.5] * len(ends))
    sign.update_from(handle)
    sign.set_markevery([len(ends) // 2])
    sign.set_transform(figure.transFigure)
    sign.set_gid(None)
    sign.set_clip_on(False)
    figure.add_artist(sign)
    return svg_text(figure)
