from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from functools import cache
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from drawn_words import SVG, box_of, group, ids, label_box, style_of, words_of
from explained import explained
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from scipy import stats

from safr_study.errors import BadInput, Notice
from safr_study.figures.canvas import blank_figure, style, svg_text
from safr_study.figures.explanation import explanation_figure, explanation_svgs, layers_figure
from safr_study.figures.word_graph import (
    WEAKEST,
    GraphFacts,
    draw_graph,
    drawn_pairs,
    separate,
    stress_layout,
)
from safr_study.records.explanation import Explanation

SENTENCE = (
    "allows us to hope that nolan is poised to embark a major career as a commercial yet "
    "inventive filmmaker ."
)
SHORT = "a gripping , funny film"
LONG = " ".join(f"word{number}" for number in range(300))
MARKUP = "a $5 <script>alert('x')</script> & \"quoted\" $6 😀 שלום _under \\frac{1}{2} x\x1b[31m"
VERMILLION, BLUE = "#d55e00", "#0072b2"


@pytest.fixture(scope="module")
def sentence() -> Explanation:
    return explained(SENTENCE)


@pytest.fixture(scope="module")
def page(sentence: Explanation, tmp_path_factory: pytest.TempPathFactory) -> ET.Element:
    """The page of the sentence."""
    return drawn(sentence, tmp_path_factory.mktemp("page") / "page.svg")


@cache
def graph_of(text: str, seed: int) -> tuple[bytes, GraphFacts, Explanation]:
    """The graph alone."""
    explanation = explained(text, seed=seed)
    with style():
        figure = blank_figure(8, 8)
        axes = figure.add_subplot()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        facts = draw_graph(axes, explanation.highest(40), explanation.view)
        return svg_text(figure).encode(), facts, explanation


def drawn(explanation: Explanation, path: Path) -> ET.Element:
    explanation_figure(explanation, path)
    return ET.fromstring(path.read_text(encoding="utf-8"))


def test_bars_stand_in_text_order_and_are_as_long_as_the_capacities(
    sentence: Explanation, page: ET.Element
) -> None:
    found = sentence
    boxes = [box_of(group(page, f"bar-{word.position}")) for word in found.words]
    lengths = np.array([box.bottom - box.top for box in boxes])
    capacities = np.array([word.capacity for word in found.words])
    np.testing.assert_allclose(lengths / lengths.sum(), capacities / capacities.sum(), rtol=1e-4)
    assert np.ptp([box.bottom for box in boxes]) < 1e-3
    assert [box.left for box in boxes] == sorted(box.left for box in boxes)
    fills = {w.top: style_of(group(page, f"bar-{w.position}"))["fill"] for w in found.words}
    assert fills == {True: "#0072b2", False: "#56b4e9"}
    assert list(words_of(page, "bar-word").values()) == SENTENCE.split()


def test_a_circles_radius_grows_strictly_with_capacity(
    sentence: Explanation, page: ET.Element
) -> None:
    found = sentence
    boxes = [box_of(group(page, f"node-{word.position}")) for word in found.words]
    widths = np.array([box.right - box.left for box in boxes])
    np.testing.assert_allclose(widths, [box.bottom - box.top for box in boxes], rtol=1e-6)
    order = np.argsort([word.capacity for word in found.words])
    assert (np.diff(widths[order]) > 0).all()
    # Linear in the capacity, with a smallest circle.
    line = stats.linregress([word.capacity for word in found.words], widths)
    assert line.rvalue == pytest.approx(1, abs=1e-6)
    assert line.intercept == pytest.approx(8, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("text", ["a good film", SENTENCE, LONG, MARKUP], ids=str.__len__)
def test_labels_of_the_graph_do_not_overlap(text: str, seed: int) -> None:
    page = ET.fromstring(graph_of(text, seed)[0])
    boxes = [label_box(label) for label in ids(page, "node-word").values()]
    assert len(boxes) == min(40, len(text.split()))
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    circles = [box_of(circle) for circle in ids(page, "node").values()]
    assert not any(one.overlaps(other) for one, other in combinations(circles, 2))


def test_the_control_of_that_test_sees_labels_that_overlap() -> None:
    page = ET.fromstring(graph_of(SENTENCE, 0)[0])
    first, second, *_ = ids(page, "node-word").values()
    for axis in ("x", "y"):
        second.find(f"{SVG}text").set(axis, first.find(f"{SVG}text").get(axis))
    assert label_box(first).overlaps(label_box(second))


def test_one_edge_per_drawn_pair_coloured_and_dashed_by_its_sign(
    sentence: Explanation, page: ET.Element
) -> None:
    cosine = sentence.view.cosine
    edges = ids(page, "edge")
    expected = {f"{edge.first}-{edge.second}" for edge in drawn_pairs(cosine)}
    assert set(edges) == expected
    signs = set()
    for name, line in edges.items():
        first, second = map(int, name.split("-"))
        assert first < second
        style = style_of(line)
        positive = cosine[first, second] > 0
        signs.add(bool(positive))
        assert style["stroke"] == (VERMILLION if positive else BLUE)
        assert ("stroke-dasharray" in style) is not positive
        # From centre to centre.
        ends, nodes = box_of(line), [box_of(group(page, f"node-{n}")) for n in (first, second)]
        centres = [(b.left + b.right) / 2 for b in nodes]
        assert (ends.left, ends.right) == pytest.approx(sorted(centres), abs=1e-3)
    assert signs == {True, False}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("text", [SENTENCE, LONG], ids=["20 words", "300 words"])
def test_the_stronger_a_correlation_the_shorter_its_edge(text: str, seed: int) -> None:
    # A perfect order has no place in the plane: the rank correlation is to be clearly negative.
    drawing, facts, found = graph_of(text, seed)
    order = order_of_lengths(ET.fromstring(drawing), found)
    assert order < -0.4
    assert facts.order == pytest.approx(order, abs=1e-6)


def test_the_page_says_how_well_lengths_follow_strengths(
    sentence: Explanation, page: ET.Element
) -> None:
    note = " ".join("".join(group(page, "note-graph").itertext()).split())
    assert f"length and strength: {order_of_lengths(page, sentence):.2f}" in note


def order_of_lengths(page: ET.Element, explanation: Explanation) -> float:
    lengths, strengths = [], []
    for name, line in ids(page, "edge").items():
        first, second = map(int, name.split("-"))
        box = box_of(line)
        lengths.append(np.hypot(box.right - box.left, box.bottom - box.top))
        strengths.append(abs(explanation.view.cosine[first, second]))
    return float(stats.spearmanr(lengths, strengths).statistic)


def test_edges_are_the_strongest_of_all_and_of_each_word() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(14, 5))
    rows /= np.linalg.norm(rows, axis=1)[:, None]
    cosine = rows @ rows.T
    found = {(edge.first, edge.second): edge.cosine for edge in drawn_pairs(cosine)}
    pairs = list(combinations(range(14), 2))
    wanted = set(sorted(pairs, key=lambda pair: -abs(cosine[pair]))[:28])
    for word in range(14):
        mine = [pair for pair in pairs if word in pair]
        wanted |= {max(mine, key=cosine.__getitem__), min(mine, key=cosine.__getitem__)}
    wanted = {pair for pair in wanted if abs(cosine[pair]) >= WEAKEST}
    assert set(found) == wanted
    assert all(value == cosine[pair] for pair, value in found.items())
    strengths = [abs(value) for value in found.values()]
    assert strengths == sorted(strengths, reverse=True)


def test_unrelated_and_undefined_words_get_no_edge(tmp_path: Path) -> None:
    rows = np.eye(5)
    rows[4] = 0.0
    page = drawn(explained("one two three four five", rows=rows), tmp_path / "page.svg")
    assert ids(page, "edge") == {}
    assert len(ids(page, "node")) == 5
    assert "No two words are correlated" in "".join(group(page, "note-graph").itertext())


def test_cells_of_the_heat_map_brighten_with_interference(
    sentence: Explanation, page: ET.Element
) -> None:
    found = sentence
    cells = group(page, "heatmap").findall(f"{SVG}path")
    count = len(found.words)
    assert len(cells) == count**2
    fills = [re.search(r"fill: ([^;]+)", cell.get("style"))[1] for cell in cells]
    off = ~np.eye(count, dtype=bool)
    assert {fill for fill, pair in zip(fills, off.flat, strict=True) if not pair} == {"none"}
    interference = found.view.interference[off]
    shares = np.sqrt(interference / interference.max())
    expected = mpl.colormaps["cividis"](shares)[:, :3]
    colours = [to_rgb(fill) for fill, pair in zip(fills, off.flat, strict=True) if pair]
    np.testing.assert_allclose(colours, expected, atol=1 / 254)
    # Row by row from the top, column by column from the left.
    first, next_in_row, below = box_of(cells[0]), box_of(cells[1]), box_of(cells[count])
    assert next_in_row.left > first.left
    assert below.top > first.top
    assert list(words_of(page, "row-word").values()) == SENTENCE.split()
    assert list(words_of(page, "column-word").values()) == SENTENCE.split()


def test_of_a_long_text_the_forty_words_of_highest_capacity_are_drawn(
    page: ET.Element, tmp_path: Path
) -> None:
    found = explained(LONG)
    long_page = drawn(found, tmp_path / "page.svg")
    highest = sorted(sorted(range(300), key=lambda place: found.words[place].rank)[:40])
    for kind in ("bar-word", "node-word", "row-word", "column-word"):
        assert list(words_of(long_page, kind).items()) == [(n, f"word{n}") for n in highest]
    for panel in ("bars", "graph", "heatmap"):
        note = "".join(group(long_page, f"note-{panel}").itertext())
        assert "Shown: the 40 of 300 words with the highest capacity." in note
    assert "Shown" not in "".join(page.itertext())


def test_markup_dollars_emoji_and_other_scripts_stay_text(tmp_path: Path) -> None:
    found = explained(MARKUP, unknown=("😀",))
    page = drawn(found, tmp_path / "page.svg")
    shown = list(words_of(page, "node-word").values())
    assert shown[:2] == ["a", "$5"]
    assert shown[2] == "<script>alert('…"
    assert shown[3:8] == ["&", '"quoted"', "$6", "😀", "שלום"]
    assert shown[-1] == "x␛[31m"
    assert not page.findall(".//script")
    style = group(page, "node-word-6").find(f"{SVG}text").get("style")
    assert "italic" in style
    assert "Italics: unknown words." in "".join(group(page, "caption").itertext())


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param("alone", None, id="one word"),
        pytest.param("two words", None, id="two words"),
        pytest.param("same same same same", np.ones((4, 3)), id="identical"),
        pytest.param("nothing at all here", np.zeros((4, 3)), id="all zero"),
        pytest.param("w" * 200, None, id="a very long word"),
    ],
)
def test_degenerate_texts_are_drawn(text: str, rows: np.ndarray | None, tmp_path: Path) -> None:
    found = explained(text, rows=rows, layers=True, cut=3)
    page = drawn(found, tmp_path / "page.svg")
    count = len(text.split())
    assert len(ids(page, "node")) == len(ids(page, "bar")) == count
    boxes = [label_box(label) for label in ids(page, "node-word").values()]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    caption = " ".join("".join(group(page, "caption").itertext()).split())
    assert f"Only the first {count} of {count + 3} words were read" in caption
    layers_figure(found, tmp_path / "layers.svg")


@pytest.mark.parametrize(("blocks", "vmask"), [(1, True), (1, False), (3, True)])
def test_the_layers_page_has_bars_and_a_map_for_each_layer(
    blocks: int, vmask: bool, tmp_path: Path
) -> None:
    found = explained(SHORT, blocks=blocks, vmask=vmask, layers=True)
    layers_figure(found, tmp_path / "layers.svg")
    page = ET.fromstring((tmp_path / "layers.svg").read_text(encoding="utf-8"))
    drawn_layers = [("embedding", 0), *([("vmask", 0)] if vmask else [])]
    drawn_layers += [
        (layer, block) for block in range(blocks) for layer in ("attention", "ffn1_pre", "ffn2")
    ]
    pattern = re.compile(r"^(\w+)-(\d)-heatmap$")
    maps = [m for e in page.iter() if (m := pattern.match(e.get("id", "")))]
    assert sorted((m[1], int(m[2])) for m in maps) == sorted(drawn_layers)
    views = {(view.layer, view.block): view for view in found.layers}
    for place in drawn_layers:
        kind = f"{place[0]}-{place[1]}-bar"
        boxes = [box_of(group(page, f"{kind}-{n}")) for n in range(5)]
        lengths = np.array([box.bottom - box.top for box in boxes])
        # One scale for all the panels.
        ratio = lengths / views[place].capacity
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)
    texts = ["".join(element.itertext()) for element in page.iter(f"{SVG}text")]
    assert ("VMASK" in texts) is vmask
    assert ("attention, block 3" in texts) is (blocks == 3)


def test_ffn1_after_relu_is_drawn_where_it_was_chosen(tmp_path: Path) -> None:
    found = explained(SHORT, layers=True)
    after = next(view for view in found.layers if view.layer == "ffn1_post")
    chosen = Explanation(
        found.source,
        found.prediction,
        found.probabilities,
        found.words,
        found.words_cut,
        found.after,
        after,
        found.layers,
    )
    layers_figure(chosen, tmp_path / "layers.svg")
    text = (tmp_path / "layers.svg").read_text(encoding="utf-8")
    assert 'id="ffn1_post-0-heatmap"' in text
    assert "ffn1_pre" not in text


def test_equal_explanations_give_equal_files_and_leave_the_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for suffix in ("svg", "png"):
        first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
        explanation_figure(explained(SHORT), first)
        explanation_figure(explained(SHORT), second)
        assert first.read_bytes() == second.read_bytes()
    assert dict(mpl.rcParams) == before
    height, width, _ = imread(tmp_path / "a.png", format="png").shape
    assert width > 1400
    assert height > 1000


def test_the_parts_of_the_page_come_as_svg_elements() -> None:
    parts = explanation_svgs(explained(SHORT, layers=True))
    assert list(parts) == ["bars", "graph", "heatmap", "layers"]
    assert all(ET.fromstring(part).tag == f"{SVG}svg" for part in parts.values())
    assert len(ids(ET.fromstring(parts["graph"]), "node")) == 5
    assert list(explanation_svgs(explained(SHORT))) == ["bars", "graph", "heatmap"]
    assert explanation_svgs(explained("")) == {}


def test_letters_that_no_font_has_are_said_of_a_png_and_kept_by_an_svg(tmp_path: Path) -> None:
    # Of the private area: no font has them anywhere.
    found = explained("a \ue0b9\ue0ba film \ue0b9")
    with pytest.warns(Notice, match=r"^a.png has boxes in the place of .*, which no font") as said:
        explanation_figure(found, tmp_path / "a.png")
    assert r"of '\ue0b9', '\ue0ba', which" in str(said[0].message)
    assert len(said) == 1
    many = explained(" ".join(chr(0xE0B0 + n) for n in range(7)), layers=True)
    with pytest.warns(Notice, match="and 2 other letters, which no"):
        layers_figure(many, tmp_path / "b.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explanation_figure(found, tmp_path / "a.svg")
        explanation_figure(explained(SHORT), tmp_path / "c.png")
    assert "\ue0b9" in (tmp_path / "a.svg").read_text("utf-8")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.png or \.svg"):
        explanation_figure(explained("a b"), tmp_path / "page.pdf")
    assert not any(tmp_path.iterdir())


def test_places_of_the_plane_are_found_again_from_their_distances() -> None:
    places = np.random.default_rng(5).normal(size=(9, 2))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    found = stress_layout(distances)
    again = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.testing.assert_allclose(again, distances, atol=1e-2 * distances.max())
    np.testing.assert_array_equal(found, stress_layout(distances))


def test_boxes_are_parted_within_the_room_or_refused() -> None:
    rng = np.random.default_rng(6)
    halves = rng.uniform(2, 8, size=(25, 2))
    centres = rng.normal(50, 5, size=(25, 2))
    moved = separate(centres, halves, (120.0, 120.0))
    assert moved is not None
    overlap = halves[:, None] + halves[None] - np.abs(moved[:, None] - moved[None])
    off = ~np.eye(25, dtype=bool)
    assert not (overlap[off] > 1e-6).all(axis=-1).any()
    assert (moved >= halves).all()
    assert (moved <= 120.0 - halves).all()
    # Where they stand apart nothing moves.
    np.testing.assert_array_equal(separate(moved, halves, (120.0, 120.0)), moved)
    assert separate(centres, halves, (30.0, 30.0)) is None
