"""The page of an explanation as a person sees it, and ``explain`` on a model of the registry."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from commands import FinishedStudy, safr
from drawn_words import box_of, group, ids, label_box
from mlflow_page import browser_page
from playwright.sync_api import Page
from tiny_model import save_tiny_model

TEXT = 'the film was good , and <b>bad</b> "unseen" 😀 שלום $5 , a good film .'
_BOXES = """ids => ids.map(id => {
    const box = document.querySelector(`[id="${id}"] text`).getBoundingClientRect();
    return [box.left, box.top, box.right, box.bottom];
})"""


def opened(page: Page, path: Path) -> tuple[list[str], list[str]]:
    """Open a file; what the console said, and what was asked for beside the file."""
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.set_viewport_size({"width": 1200, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    return said, [url for url in asked if url != path.as_uri() and not url.startswith("data:")]


@pytest.mark.browser
def test_the_page_opens_offline_with_an_empty_console_and_shows_the_words(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", max_len=64, layers=2)
    ended = safr(tmp_path / "home", "explain", str(model), TEXT, "--html", "page.html", "--layers")
    assert ended.code == 0, ended.err
    with browser_page() as page:
        said, asked = opened(page, tmp_path / "page.html")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert (said, asked) == ([], [])
        assert page.locator("p.text").inner_text().split() == TEXT.split()
        assert page.locator("b").count() == 0
        rows = page.locator("section[aria-labelledby=h-words] tbody tr")
        assert rows.count() == len(TEXT.split())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

        # Labels as the browser really draws them.
        places = range(len(TEXT.split()))
        boxes = page.evaluate(_BOXES, [f"graph:node-word-{place}" for place in places])
        for (left, top, right, bottom), other in combinations(boxes, 2):
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart

        # Sorted with the keyboard alone, by value.
        page.get_by_role("button", name="Capacity").first.focus()
        page.keyboard.press("Enter")
        capacities = [float(text) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
        assert capacities == sorted(capacities, reverse=True)
        page.keyboard.press("Enter")
        capacities = [float(text) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
        assert capacities == sorted(capacities)
        assert said == []


@pytest.mark.browser
def test_the_page_follows_a_dark_system_and_a_narrow_screen(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", max_len=400)
    text = " ".join(f"word{n}" for n in range(300))
    assert safr(tmp_path / "home", "explain", str(model), text, "--html", "page.html").code == 0
    with browser_page() as page:
        said, _ = opened(page, tmp_path / "page.html")
        colour = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(colour)
        page.emulate_media(color_scheme="dark")
        assert page.evaluate(colour) != light
        assert page.evaluate(
            "getComputedStyle(document.querySelector('.picture')).backgroundColor"
        ) == ("rgb(255, 255, 255)")
        page.set_viewport_size({"width": 400, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert said == []


def test_a_model_of_the_registry_is_explained_by_its_name(planted: FinishedStudy) -> None:
    for reference in ("safr-planted@best-accuracy", "models:/safr-planted/1"):
        ended = safr(planted.home, "explain", reference, "cue0_1 filler3 filler7", "--json")
        assert ended.code == 0, ended.err
        found = ended.json
        assert found["model"]["reference"] == reference
        assert len(found["words"]) == 3
        assert sum(found["probabilities"].values()) == pytest.approx(1)
    ended = safr(planted.home, "explain", "safr-none@knee", "x")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: model: there is no 'safr-none'; there is safr-planted")


REVIEW = (
    "the acting is wonderful but the plot is a dull , predictable mess that never comes together"
)
PLANTED = "f0003 cue0_01 f0007 dis02 f0011 f0001 cue1_04 f0002 f0005 dis03 f0004"


def test_a_pulled_model_draws_larger_what_has_more_capacity(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    name = "safr-sst2" if finished.dataset == "sst2" else "safr-planted"
    text = REVIEW if finished.dataset == "sst2" else PLANTED
    model = str(tmp_path / "model")
    assert safr(finished.home, "pull", f"{name}/1", "--to", model).code == 0
    drawn = tmp_path / "drawn.svg"
    ended = safr(finished.home, "explain", model, text, "--svg", str(drawn), "--json")
    assert ended.code == 0, ended.err
    words = ended.json["words"]
    assert [word["text"] for word in words] == text.split()
    order = np.argsort([word["capacity"] for word in words])
    page = ET.fromstring(drawn.read_text("utf-8"))
    bars, circles = (
        [box_of(group(page, f"{kind}-{place}")) for place in order] for kind in ("bar", "node")
    )
    capacities = np.sort([word["capacity"] for word in words])
    assert capacities[-1] > capacities[0]
    # Equal capacities (the same word) are equally large, up to the last digit of the SVG.
    more = np.diff(capacities) > 1e-4
    assert (np.diff([box.bottom - box.top for box in bars])[more] > 0).all()
    assert (np.diff([box.right - box.left for box in circles])[more] > 0).all()
    labels = [label_box(label) for label in ids(page, "node-word").values()]
    assert len(labels) == len(words)
    assert not any(one.overlaps(other) for one, other in combinations(labels, 2))


@pytest.mark.browser
def test_a_pulled_models_page_opens_offline(finished: FinishedStudy, tmp_path: Path) -> None:
    name = "safr-sst2" if finished.dataset == "sst2" else "safr-planted"
    text = REVIEW if finished.dataset == "sst2" else PLANTED
    shown = tmp_path / "page.html"
    ended = safr(finished.home, "explain", f"models:/{name}/1", text, "--html", str(shown))
    assert ended.code == 0, ended.err
    with browser_page() as page:
        assert opened(page, shown) == ([], [])
        assert page.locator("p.text").inner_text().split() == text.split()
