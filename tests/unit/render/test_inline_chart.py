"""Charts in a page: the figures' own pictures in the page's colours, with marks to be walked."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from synthetic_study import complete_trial, ranked_study, study_spec

from safr_study.figures import canvas
from safr_study.figures.canvas import Chart
from safr_study.figures.front import front_charts
from safr_study.figures.parameters import importance_chart
from safr_study.records.study import Importance
from safr_study.render.html import asset
from safr_study.render.inline_svg import Mark, inline_chart, legend

STRENGTHS = {"lambda_imp": 3.2, "dropout": 0.02, "learning_rate": 1.6, "lambda_inter": 0.4}


@pytest.fixture(scope="module")
def front() -> Chart:
    trials = [complete_trial(number, 80.0 - number, 5.0 + number) for number in range(4)]
    return front_charts(ranked_study(study_spec(), [trials], knee=2))[0]


@pytest.fixture(scope="module")
def bars() -> Chart:
    return importance_chart(
        [
            Importance(name, "accuracy", value, 1.0, 0.1, None, 20)
            for name, value in STRENGTHS.items()
        ]
    )


def test_colours_are_variables_that_both_schemes_define(front: Chart, bars: Chart) -> None:
    for name, chart in (("front", front), ("importance", bars)):
        drawn = inline_chart(chart, name=name, label=name, marks={}) + legend(chart, name)
        assert not re.search(r"#[0-9a-fA-F]{6}\b", drawn)
        used = set(re.findall(r"var\(--([a-z]+)\)", drawn))
        assert {"ink", "blue"} <= used
        sheets = [asset(sheet) for sheet in ("base.css", "study.css")]
        light = "".join(sheet.partition("@media")[0] for sheet in sheets)
        dark = "".join(
            re.split(r"prefers-color-scheme: dark\)", sheet)[1].partition("\n}")[0]
            for sheet in sheets
        )
        for variable in used:
            assert f"--{variable}:" in light
            # The sky is light enough for either.
            assert f"--{variable}:" in dark or variable == "sky"


def test_marks_are_named_linked_to_their_trial_and_reached_by_tab(front: Chart) -> None:
    marks = {f"trial-{n}": Mark(f"Trial {n}\n<b> & more", n) for n in range(4)}
    root = ET.fromstring(inline_chart(front, name="front", label="The front", marks=marks, place=2))
    assert (root.get("role"), root.get("aria-label")) == ("group", "The front")
    found = [one for one in root.iter() if "mark" in one.get("class", "").split()]
    assert {one.get("id") for one in found} == {f"front2:trial-{n}" for n in range(4)}
    for mark in found:
        number = mark.get("data-trial")
        assert mark.get("tabindex") == "0"
        assert mark.findtext("title") == f"Trial {number}\n<b> & more"
        assert mark.get("aria-label") == f"Trial {number}; <b> & more"
        # The ring of the focus is around the marker.
        halo, use = mark.find("circle"), mark.find(".//use")
        assert halo is not None
        assert use is not None
        assert (halo.get("cx"), halo.get("cy")) == (use.get("x"), use.get("y"))
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(set(ids)) == len(ids)
    references = re.findall(r"#(front2:[^)\"]+)", ET.tostring(root, encoding="unicode"))
    assert references
    assert set(references) <= set(ids)


def test_a_line_has_a_wide_twin_to_be_pointed_at() -> None:
    path = '<g id="line-3"><path d="M 0 0 L 9 9" style="stroke: #0072b2"/></g>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">{path}</svg>'
    drawn = inline_chart(
        Chart(svg, ()), name="p", label="p", marks={"line-3": Mark("t", 3, "thread")}
    )
    mark = ET.fromstring(drawn).find("g")
    assert mark is not None
    assert mark.get("class") == "mark thread"
    reach, line = mark.findall("path")
    assert reach.get("class") == "reach"
    assert reach.get("d") == line.get("d")
    assert line.get("style") == "stroke: var(--blue)"


def test_the_legend_has_each_sign_once_with_its_words(front: Chart) -> None:
    assert [words for _, words in front.legend] == ["Pareto front", "on the front", "knee"]
    page = legend(front, "front")
    assert page.count("<li>") == page.count("<svg") == 3
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids)


def test_bars_are_as_long_as_the_strengths_the_strongest_on_top(bars: Chart) -> None:
    root = ET.fromstring(inline_chart(bars, name="importance", label="i", marks={}))
    texts = ["".join(text.itertext()) for text in root.iter("text")]
    order = sorted(STRENGTHS, key=lambda name: -STRENGTHS[name])
    assert [text for text in texts if text in STRENGTHS] == order
    lengths, blue = [], []
    for path in root.iter("path"):
        style = path.get("style", "")
        if style.startswith("fill: var(--") and "patch" not in path.get("id", ""):
            numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
            lengths.append(max(numbers[::2]) - min(numbers[::2]))
            blue.append("--blue" in style)
    scale = lengths[0] / STRENGTHS[order[0]]
    assert lengths == pytest.approx([scale * STRENGTHS[name] for name in order], abs=0.02)
    assert blue == [True, True, False, False]
    rows = {one.get("id") for one in root.iter() if "parameter-" in one.get("id", "")}
    assert rows == {f"importance:parameter-{place}" for place in range(4)}


def test_no_text_of_a_user_breaks_the_picture() -> None:
    hostile = "$a_b$ \x1b <b>&\"'"
    drawn = canvas.chart(2, 2, lambda axes: axes.plot([0, 1], [0, 1], label=hostile))
    assert "<b>" not in legend(drawn, "x")
    named = canvas.chart(2, 2, lambda axes: axes.set_xlabel(hostile))
    root = ET.fromstring(inline_chart(named, name="x", label="x", marks={}))
    assert "$a_b$ \N{REPLACEMENT CHARACTER} <b>&\"'" in {text.text for text in root.iter("text")}
