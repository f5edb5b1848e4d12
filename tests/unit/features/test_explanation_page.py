from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from explained import explained

from safr_study.features.explain.page import explanation_page
from safr_study.figures.explanation import explanation_svgs
from safr_study.records.explanation import Explanation
from safr_study.render.format import TINTS, tint
from safr_study.render.inline_svg import inline_svg

SENTENCE = "a gripping , funny film"
HOSTILE = "<script>alert(1)</script> \"double\" 'single' &amp; <img/src=x> </style></title> \x1b[2J"
VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """What a page holds, and that its elements are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: list[str] = []
        self._open: list[str] = []
        self._section = ""
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.tags.append((tag, found))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = found["aria-labelledby"].removeprefix("h-")
        elif tag == "table":
            self.tables[self._section] = []
        elif tag == "tr":
            self.tables[self._section].append([])
        elif tag in ("td", "th"):
            self.tables[self._section][-1].append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "td" in self._open or "th" in self._open:
            self.tables[self._section][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(found: Explanation) -> Page:
    return Page(explanation_page(found, explanation_svgs(found)))


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explained(SENTENCE, layers=True, blocks=2, unknown=("gripping",))


@pytest.fixture(scope="module")
def html(found: Explanation) -> str:
    return explanation_page(found, explanation_svgs(found))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_prediction_classes_and_origin_are_told(found: Explanation, page: Page) -> None:
    assert "Prediction: positive probability 0.8750" in page.text
    assert page.tables["classes"] == [
        ["Class", "Probability"],
        ["positive", "0.8750"],
        ["negative", "0.1250"],
    ]
    for fact in ("safr-sst2@knee", "ab" * 32, "masked", "sst2", "FFN1 before ReLU, block 2"):
        assert fact in page.texts
    assert "positive (0.88): a SAFR explanation" in page.texts
    assert "1 word is not in the model's vocabulary." in page.text


def test_the_table_of_words_holds_every_number(found: Explanation, page: Page) -> None:
    head, *rows = page.tables["words"]
    columns = ["Place", "Word", "Capacity", "Rank", "Top 30 %", "Keep-probability", "Note"]
    assert head == columns
    assert rows == [
        [
            str(word.position + 1),
            word.text,
            f"{word.capacity:.4f}",
            str(word.rank + 1),
            "yes" if word.top else "",
            f"{word.keep_probability:.4f}",
            "" if word.known else "unknown",
        ]
        for word in found.words
    ]
    exact = [float(a["data-value"]) for tag, a in page.tags if tag == "td" and "data-value" in a]
    assert {word.capacity for word in found.words} <= set(exact)


def test_layers_and_pairs_are_tables_too(found: Explanation, page: Page) -> None:
    head, *rows = page.tables["layer-capacities"]
    assert head[2:6] == ["embedding", "VMASK", "attention, block 1", "FFN1 before ReLU, block 1"]
    assert len(head) == 2 + 2 + 2 * 5
    assert [row[2:] for row in rows] == [
        [f"{view.capacity[place]:.4f}" for view in found.layers] for place in range(5)
    ]
    head, *rows = page.tables["pairs"]
    assert head == ["Word", "Word", "Cosine", "Dot product", "Interference"]
    assert len(rows) == 10
    strengths = [abs(float(row[2])) for row in rows]
    assert strengths == sorted(strengths, reverse=True)
    words = SENTENCE.split()
    first, second = words.index(rows[0][0]), words.index(rows[0][1])
    assert float(rows[0][2]) == pytest.approx(found.view.cosine[first, second], abs=1e-4)
    assert float(rows[0][4]) == pytest.approx(found.view.dot[first, second] ** 2, abs=1e-3)


def test_words_are_tinted_by_capacity_and_the_top_ones_marked_without_colour(
    found: Explanation, page: Page
) -> None:
    largest = max(word.capacity for word in found.words)
    shown = [
        (tag, attributes["class"].split())
        for tag, attributes in page.tags
        if tag in ("span", "strong") and "title" in attributes
    ]
    assert len(shown) == 5
    for word, (tag, classes) in zip(found.words, shown, strict=True):
        assert (tag == "strong") is word.top
        assert f"t{tint(word.capacity, largest)}" in classes
        assert ("unknown" in classes) is not word.known
    assert any(tag == "strong" for tag, _ in shown)


def test_the_tints_rise_with_capacity_from_none_to_the_darkest() -> None:
    steps = [tint(share / 100, 1.0) for share in range(101)]
    assert steps == sorted(steps)
    assert set(steps) == set(range(TINTS))
    assert tint(0.07, 0.07) == TINTS - 1
    assert tint(0.0, 0.0) == 0


def test_nothing_is_loaded_and_only_the_pages_own_script_may_run(html: str, page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "href", "action", "srcset", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png")), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert tag not in ("link", "iframe", "object", "base", "form")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    [policy] = [a["content"] for _, a in page.tags if a.get("http-equiv")]
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_what_the_user_wrote_is_text_wherever_it_stands() -> None:
    found = explained(HOSTILE, layers=True, reference='<b onclick="x">"\'')
    page = page_of(found)
    assert [row[1] for row in page.tables["words"][1:]] == [word.shown for word in found.words]
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not any(tag == "img" for tag, _ in page.tags)
    assert not any("onclick" in attributes for _, attributes in page.tags)
    assert '<b onclick="x">"\'' in page.texts
    assert "\x1b" not in explanation_page(found, {})


def test_ids_are_unique_and_every_reference_is_met(html: str, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", html))
    wanted |= {a["href"][1:] for tag, a in page.tags if tag == "use"}
    wanted |= {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert wanted
    assert wanted <= set(ids)


def test_marks_of_the_pictures_say_their_numbers(found: Explanation, html: str) -> None:
    pictures = {
        picture.get("aria-label"): picture
        for picture in map(ET.fromstring, re.findall(r"<svg .*?</svg>", html, re.DOTALL))
    }
    assert len(pictures) == 4
    titles = {title.text for picture in pictures.values() for title in picture.iter("title")}
    word = found.words[3]
    assert (
        f"funny: capacity {word.capacity:.3f}, rank {word.rank + 1}, "
        f"keep-probability {word.keep_probability:.3f}"
    ) in titles
    cells = pictures["Interference between the words"].find(".//*[@id='heatmap:heatmap']")
    assert cells is not None
    said = [cell.findtext("title") for cell in cells.findall("path")]
    assert len(said) == 25
    assert said[8] == f"gripping, funny: {found.view.interference[1, 3]:.4g}"
    assert any(str(title).startswith("a, gripping: cosine") for title in titles)


def test_a_screen_reader_and_a_keyboard_find_their_way(page: Page) -> None:
    assert ("html", {"lang": "en"}) in page.tags
    headings = [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert headings[0] == "h1"
    assert set(headings[1:]) == {"h2"}
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(a["role"] == "img" and a["aria-label"] for a in pictures)
    # What scrolls can be scrolled with the keyboard.
    for _, attributes in page.tags:
        if attributes.get("class") in ("scroll", "picture"):
            assert attributes["tabindex"] == "0"
    assert sum(tag == "th" and a.get("scope") == "row" for tag, a in page.tags) >= 10


def test_a_text_without_words_has_a_page_without_pictures() -> None:
    page = page_of(explained(""))
    assert "the bias of the classifier alone decides" in page.text
    assert "Prediction: positive" in page.text
    assert set(page.tables) == {"classes"}
    assert not any(tag == "svg" for tag, _ in page.tags)


def test_without_vmask_there_is_a_dash() -> None:
    page = Page(explanation_page(explained(SENTENCE, vmask=False), {}))
    assert {row[5] for row in page.tables["words"][1:]} == {"–"}
    assert "no VMASK" in page.text


def test_a_long_text_is_whole_in_the_tables() -> None:
    found = explained(" ".join(f"word{n}" for n in range(300)), cut=7)
    page = Page(explanation_page(found, {}))
    assert len(page.tables["words"]) == 301
    assert len(page.tables["pairs"]) == 21
    assert "Only the first 300 of 307 words were read" in page.text


def test_a_picture_is_put_in_with_ids_of_its_own() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        '<metadata>x</metadata><defs><style>*{}</style><path id="p"/><clipPath id="c"/></defs>'
        '<g id="bar-0" clip-path="url(#c)"><path style="fill: url(#p)"/><use xlink:href="#p"/></g>'
        "</svg>"
    )
    found = ET.fromstring(inline_svg(svg, name="one", label="L", titles={"bar-0": "a < b"}))
    assert found.find(".//metadata") is None
    assert found.find(".//style") is None
    mark = found.find(".//*[@id='one:bar-0']")
    assert mark is not None
    assert mark[0].text == "a < b"
    assert mark.get("clip-path") == "url(#one:c)"
    assert mark[1].get("style") == "fill: url(#one:p)"
    assert mark[2].get("href") == "#one:p"
