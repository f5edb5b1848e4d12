"""The pictures of reproduced items: what they mark, and that they mark it where it is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from safr_study.errors import BadInput
from safr_study.figures.canvas import Page
from safr_study.figures.curves import Curve, curves_figure
from safr_study.figures.reproduction import TradeoffPoint, means_figure, tradeoff_figure

SVG = "{http://www.w3.org/2000/svg}"
SHARES = (0.0, 0.1, 0.3, 0.5)


def curve(name: str, deletion: str, slope: float) -> Curve:
    accuracy = tuple(72.0 - slope * share for share in SHARES)
    return Curve(
        name=name,
        shares=SHARES,
        values=accuracy,
        deletion="top" if deletion == "top" else "random",
        intervals=tuple((value - 1.5, value + 1.5) for value in accuracy),
        paper=(71.0, None, 60.0, None),
    )


CURVES = [
    curve(name, deletion, slope)
    for name, slopes in (("baseline", (5, 8)), ("safr(1, 0.1)", (40, 10)))
    for deletion, slope in zip(("top", "random"), slopes, strict=True)
]
OURS = [
    TradeoffPoint("baseline", (74.0, -2.0), True, ((73.0, 75.0), (-4.0, 0.0))),
    TradeoffPoint("vmask", (71.0, 9.0), False, ((70.0, 72.0), (7.0, 11.0))),
    TradeoffPoint("safr(1, 0.1)", (72.0, 18.0), True, ((70.5, 73.5), (16.0, 20.0))),
    TradeoffPoint("safr(100, 0)", (60.0, 8.0), False, ((58.0, 62.0), (5.0, 11.0)), saturated=True),
]
PAPER = [
    TradeoffPoint(point.name, (point.at[0] - 0.5, point.at[1] + 1), point.on_front)
    for point in OURS
]
READINGS = {
    "pre-ReLU, PAD out": [(0.19, (0.18, 0.2)), (0.41, None), (0.1, (0.09, 0.11))],
    "post-ReLU, PAD in": [(0.3, None), (0.6, None), (0.2, None)],
}


def page(path: Path) -> ET.Element:
    return ET.fromstring(path.read_text(encoding="utf-8"))


def ids(root: ET.Element) -> set[str]:
    return {element.get("id", "") for element in root.iter()}


def texts(root: ET.Element) -> list[str]:
    return ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What would be saved."""
    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: kept.append(figure))
    return kept


def line(axes: Axes, gid: str) -> tuple[list[float], list[float]]:
    (found,) = [drawn for drawn in axes.get_lines() if drawn.get_gid() == gid]
    return list(found.get_xdata()), list(found.get_ydata())


def test_curves_are_drawn_with_bands_and_the_paper_s_points(
    tmp_path: Path, figures: list[Figure]
) -> None:
    curves_figure(CURVES, Page(tmp_path / "a.svg", "Figure 3", "400 texts"))
    (axes,) = figures[0].axes
    for drawn in CURVES:
        gid = f"{drawn.name}-{drawn.deletion}"
        xs, ys = line(axes, f"curve-{gid}")
        assert xs == [0, 10, 30, 50]
        assert tuple(ys) == drawn.values
        assert line(axes, f"paper-{gid}") == ([0, 30], [71.0, 60.0])
        (band,) = [part for part in axes.collections if part.get_gid() == f"band-{gid}"]
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == min(low for low, _ in drawn.intervals)
        assert heights.max() == max(high for _, high in drawn.intervals)
    styles = {drawn.get_linestyle() for drawn in axes.get_lines() if drawn.get_gid()}
    assert styles == {"-", "--", "None"}  # the paper's are points alone


def test_the_page_of_curves_names_its_axes_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    curves_figure(CURVES, Page(path, "Figure 3", "400 texts, 9 runs"))
    shown = texts(page(path))
    for words in ("tokens deleted, k (%)", "test accuracy (%)", "safr(1, 0.1), random"):
        assert words in shown
    assert "the paper" in " ".join(shown)
    assert "400 texts, 9 runs" in shown
    plain = [replace(drawn, paper=(None,) * 4) for drawn in CURVES]
    curves_figure(plain, Page(path, "Figure 3"))
    assert "the paper" not in " ".join(texts(page(path)))
    assert not any(gid.startswith("paper-") for gid in ids(page(path)))


def test_both_fronts_are_staircases_through_their_members(
    tmp_path: Path, figures: list[Figure]
) -> None:
    tradeoff_figure(OURS, PAPER, Page(tmp_path / "a.svg", "Table 6"))
    left, right = figures[0].axes
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    for axes, side, points in ((left, "ours", OURS), (right, "paper", PAPER)):
        xs, ys = line(axes, f"front-{side}")
        members = [points[2].at, points[0].at]
        edge, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
        np.testing.assert_allclose(
            list(zip(xs, ys, strict=True)),
            [
                (edge, members[0][1]),
                members[0],
                (members[0][0], members[1][1]),
                members[1],
                (members[1][0], bottom),
            ],
        )
        for number, point in enumerate(points, start=1):
            assert line(axes, f"row-{side}-{number}") == ([point.at[0]], [point.at[1]])
    assert line(left, "saturated-ours") == ([60.0], [8.0])
    bars = [(list(drawn.get_xdata()), list(drawn.get_ydata())) for drawn in left.get_lines()]
    assert ([70.5, 73.5], [18.0, 18.0]) in bars
    assert ([72.0, 72.0], [16.0, 20.0]) in bars


def test_rows_are_numbered_and_the_legend_names_them(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    tradeoff_figure(OURS, PAPER, Page(path, "Table 6 (sst2-treebank, preset masked)"))
    root = page(path)
    assert {f"label-{side}-{number}" for side in ("ours", "paper") for number in (1, 2, 3, 4)} <= (
        ids(root)
    )
    shown = " | ".join(texts(root))
    for number, point in enumerate(OURS, start=1):
        assert re.search(rf"\b{number}\s+{re.escape(point.name)}", shown)
    for words in ("on our front", "on the paper's front", "saturated: one class", "preset masked"):
        assert words in shown
    assert "saturated-paper" not in ids(root)


def test_labels_cover_no_point(tmp_path: Path, figures: list[Figure]) -> None:
    tradeoff_figure(OURS, PAPER, Page(tmp_path / "a.png", "Table 6"))
    for axes, points in zip(figures[0].axes, (OURS, PAPER), strict=True):
        centres = axes.transData.transform([point.at for point in points])
        notes = [text for text in axes.texts if text.get_gid()]
        assert len(notes) == len(points)
        boxes = [text.get_window_extent() for text in notes]
        # The extent of a label that is tied to its point by a line holds the line.
        free = [box for box, note in zip(boxes, notes, strict=True) if note.arrow_patch is None]
        assert not any(box.contains(*centre) for box in free for centre in centres)


def test_capacities_stand_beside_the_paper_s(tmp_path: Path, figures: list[Figure]) -> None:
    groups = ["all", "important", "less important"]
    published = [0.1925, 0.4141, 0.0975]
    means_figure(groups, READINGS, published, Page(tmp_path / "a.svg", "Table 3"))
    (axes,) = figures[0].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == groups
    (lines,) = [part for part in axes.collections if part.get_gid() == "paper"]
    assert [segment[0][1] for segment in lines.get_segments()] == published
    for name, values in READINGS.items():
        xs, ys = line(axes, f"reading-{name}")
        assert list(zip(ys, (ends for _, ends in values), strict=True)) == values
        assert [round(x) for x in xs] == [0, 1, 2]
    assert axes.get_ylim()[0] == 0


@pytest.mark.parametrize("kind", ["curves", "tradeoff", "capacities"])
def test_pictures_are_repeated_exactly_and_other_kinds_refused(kind: str, tmp_path: Path) -> None:
    def draw(name: str) -> bytes:
        path = tmp_path / name
        if kind == "curves":
            curves_figure(CURVES, Page(path, "t"))
        elif kind == "tradeoff":
            tradeoff_figure(OURS, PAPER, Page(path, "t"))
        else:
            means_figure(["a", "b", "c"], READINGS, [0.1, 0.2, 0.3], Page(path, "t"))
        return path.read_bytes()

    assert draw("a.svg") == draw("b.svg")
    draw("a.png")
    pixels = imread(tmp_path / "a.png")
    assert pixels.shape[0] > 500
    assert pixels[..., :3].std() > 0.05
    with pytest.raises(BadInput, match=r"out: a\.pdf is no picture"):
        draw("a.pdf")
