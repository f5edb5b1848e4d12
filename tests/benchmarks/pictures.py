"""How the fronts of the searches grow with the epochs that they spend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.searches import ALL_METHODS, WITHIN, Search
from safr_study.figures.canvas import (
    BLUE,
    DARK_GREY,
    GREEN,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    blank_figure,
    save_figure,
    style,
)

_COLOURS = dict(
    zip(
        (method.key for method in ALL_METHODS),
        (GREY, BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY),
        strict=True,
    )
)
_POINTS = 400


def growth_figure(
    searches: Sequence[Search], path: Path, *, title: str, until: int, caption: str = ""
) -> None:
    """Draw the share of the best hypervolume against the epochs spent, a median and a band each.

    The artists have ids in an SVG: ``median-METHOD``, ``band-METHOD``, ``target``.

    Args:
        searches: of any methods; each under some seeds.
        path: ends in .png or .svg; its folder exists.
        title: of the page.
        until: epochs at the right end; all searches were run as far, or arrived.
        caption: under it.

    Raises:
        BadInput: another suffix.
    """
    with style():
        figure = blank_figure(7.2, 4.4)
        axes = figure.subplots()
        axes.grid(color=LIGHT_GREY, linewidth=0.6)
        axes.set_axisbelow(True)
        spent = np.linspace(0, until, _POINTS)
        for method in ALL_METHODS:
            shares = np.array(
                [[s.share(int(e)) for e in spent] for s in searches if s.method == method.key]
            )
            if not len(shares):
                continue
            colour = _COLOURS[method.key]
            low, middle, high = np.percentile(shares, (25, 50, 75), axis=0)
            axes.fill_between(
                spent, low, high, color=colour, alpha=0.15, linewidth=0, gid=f"band-{method.key}"
            )
            axes.plot(
                spent,
                middle,
                color=colour,
                linewidth=1.6,
                label=method.title,
                gid=f"median-{method.key}",
            )
        axes.axhline(WITHIN, color=DARK_GREY, linewidth=0.9, linestyle=":", gid="target")
        axes.set_xlim(0, until)
        axes.set_ylim(0.5, 1.0)
        axes.set_xlabel("epochs spent by all trials")
        axes.set_ylabel("share of the best hypervolume")
        axes.legend(frameon=False, loc="lower right")
        figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
        figure.supxlabel(caption, fontsize=8, color=DARK_GREY, gid="caption")
        save_figure(figure, path)
