"""What all charts of a page share: scales, axes, marks and texts.

Nothing here has a colour of its own: classes name what a mark is, the style sheet says how it looks
on light and dark screens and on paper. A mark has its sentence as an SVG title, which the page's
script shows when it is pointed at or focused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

SHAPES = {
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "square": "M-5-5h10v10h-10z",
    "diamond": "M0-7l7 7-7 7-7-7z",
    "triangle": "M0-6.5l6.5 11.5h-13z",
    "star": "M0-9l2.4 5.7 6.2.5-4.7 4 1.5 6L0 3-5.4 6.2l1.5-6-4.7-4 6.2-.5z",
    "pentagon": "M0-6.5l6.2 4.5-2.4 7.3h-7.6l-2.4-7.3z",
    "ring": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "cross": "M-4-4l8 8M4-4l-8 8",
}
"""Outlines around (0, 0), in pixels."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels, linear; ``start`` may lie right of or below ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values inside the scale, at most so many."""
        return round_values(self.low, self.high, most)


@dataclass(frozen=True, slots=True)
class Frame:
    """A chart's size in pixels, and the plane inside it where values are drawn."""

    width: float
    height: float
    left: float = 58.0
    right: float = 16.0
    top: float = 14.0
    bottom: float = 50.0

    @property
    def x_range(self) -> Point:
        """Left and right end of the plane."""
        return self.left, self.width - self.right

    @property
    def y_range(self) -> Point:
        """Lower and upper end of the plane."""
        return self.height - self.bottom, self.top


def round_values(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten in [low, high], at most so many."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [place * step for place in range(first, last + 1)]
    return [low, high]


def padded(values: Iterable[float], *, least: float, share: float = 0.07) -> Point:
    """The range of values with room around it.

    Args:
        values: at least one.
        least: room on either side at least.
        share: of the range, as room on either side.
    """
    known = list(values)
    low, high = min(known), max(known)
    room = max(least, share * (high - low))
    return low - room, high + room


def short(value: float) -> str:
    """A number beside an axis: no digits that say nothing."""
    return f"{value:,.6g}" if abs(value) < 1e5 else f"{value:.3g}"


def chart(name: str, frame: Frame, label: str, parts: Iterable[str], *, roving: bool = True) -> str:
    """An SVG element that fills the width it gets; its marks can be walked with the arrow keys.

    Args:
        name: a class of its own.
        frame: its size.
        label: what a screen reader says of it.
        parts: SVG.
        roving: whether it has marks to walk.
    """
    return (
        f'<svg class="chart {name}" viewBox="0 0 {frame.width:g} {frame.height:g}" '
        f'role="{"group" if roving else "img"}" aria-label="{escape(label)}"'
        f"{' data-roving' if roving else ''}>{''.join(parts)}</svg>"
    )


def mark(
    shape: str,
    kind: str,
    at: Point,
    sentence: str,
    *,
    trial: int | None = None,
    size: float = 1.0,
) -> str:
    """A sign at a point.

    Args:
        shape: of `SHAPES`.
        kind: classes of the style sheet.
        at: pixels.
        sentence: what it stands for; the first line is its name.
        trial: its number, so that all that is drawn of a trial lights up together.
        size: of the sign, 1 as drawn.
    """
    scaled = f" scale({size:g})" if size != 1.0 else ""
    return (
        f'<g class="mark {kind}"{_trial(trial)} tabindex="0" role="img" '
        f'aria-label="{_spoken(sentence)}" transform="translate({at[0]:.1f} {at[1]:.1f}){scaled}">'
        f'<title>{escape(sentence)}</title><circle class="halo" r="11"/>'
        f'<path d="{SHAPES[shape]}"/></g>'
    )


def line(
    points: Sequence[Point],
    kind: str,
    *,
    sentence: str | None = None,
    trial: int | None = None,
) -> str:
    """A line through points; with a sentence it is a mark, and wide enough to be pointed at."""
    corners = " ".join(
        f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(points)
    )
    if sentence is None:
        return f'<path class="{kind}"{_trial(trial)} d="{corners}" fill="none"/>'
    return (
        f'<g class="mark {kind}"{_trial(trial)} tabindex="0" role="img" '
        f'aria-label="{_spoken(sentence)}"><title>{escape(sentence)}</title>'
        f'<path class="reach" d="{corners}" fill="none"/><path d="{corners}" fill="none"/></g>'
    )


def steps(points: Sequence[Point]) -> list[Point]:
    """Corners of the step line that keeps each height until the next point."""
    corners: list[Point] = []
    for x, y in points:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def text(at: Point, shown: str, kind: str = "tick", anchor: str = "start") -> str:
    """Words at a point; ``anchor`` is ``start``, ``middle`` or ``end``."""
    return (
        f'<text class="{kind}" x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}">'
        f"{escape(shown)}</text>"
    )


def grid(frame: Frame, x: Scale, y: Scale, x_name: str, y_name: str, *, whole: bool = False) -> str:
    """Both axes with ticks, lines and names.

    Args:
        frame: of the chart.
        x: horizontal scale.
        y: vertical scale.
        x_name: of the horizontal axis.
        y_name: of the vertical axis, written above it.
        whole: whether horizontal ticks are whole numbers alone.
    """
    bottom, top = frame.y_range
    left, right = frame.x_range
    parts = []
    for value in y.ticks():
        parts.append(line([(left, y(value)), (right, y(value))], "grid"))
        parts.append(text((left - 8, y(value) + 4), short(value), anchor="end"))
    for value in x.ticks():
        if whole and value != round(value):
            continue
        parts.append(line([(x(value), bottom), (x(value), bottom + 4)], "grid"))
        parts.append(text((x(value), bottom + 20), short(value), anchor="middle"))
    parts.append(line([(left, bottom), (right, bottom)], "axis"))
    parts.append(text(((left + right) / 2, frame.height - 8), x_name, "name", "middle"))
    middle = (bottom + top) / 2
    parts.append(
        f'<text class="name" text-anchor="middle" transform="translate(14 {middle:.1f}) '
        f'rotate(-90)">{escape(y_name)}</text>'
    )
    return "".join(parts)


def _trial(number: int | None) -> str:
    return "" if number is None else f' data-trial="{number}"'


def _spoken(sentence: str) -> str:
    return escape(sentence.replace("\n", "; "))
