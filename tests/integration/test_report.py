"""The report of a study that was really run, as a person sees it in a browser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import FinishedStudy, safr
from html_page import ReadPage
from mlflow_page import browser_page
from plain_scores import deletion_at
from playwright.sync_api import Page

from safr_study.features.study_base.results import load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.records import TrialState

MOST_BYTES = 8_000_000
_FOCUSED = "document.activeElement.getAttribute('data-trial')"
_LUMINANCE = """() => {
    const parts = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number).map(c => {
        c /= 255;
        return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    const light = text => {
        const [r, g, b] = parts(text);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    const of = (selector, property) => {
        const inks = [...document.querySelectorAll(selector)].map(
            found => light(getComputedStyle(found)[property]));
        return Math.min(...inks.map(
            ink => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)));
    };
    return {
        text: Math.min(of('p.lead', 'color'), of('.kicker', 'color'), of('thead th', 'color'),
            of('.chart text', 'fill'), of('nav a', 'color')),
        marks: Math.min(of('.front .mark:is(.knee, .compromise) use', 'fill'),
            of(':is([id="front:knee"], [id="front:compromise"]) use', 'fill'),
            of('[id^="front:baseline-"] use', 'stroke'), of('[id="front:front"] path', 'stroke')),
    };
}"""
"""Contrast against the page, as WCAG 2 defines it."""


@dataclass(frozen=True)
class Reported:
    """A report on disk, and the ledger that it is of."""

    path: Path
    told: Any
    page: ReadPage
    ledger: Ledger


def reported(home: Path, study: str, path: Path, *more: str) -> Reported:
    ended = safr(home, "report", study, "--out", str(path), "--json", *more)
    assert ended.code == 0, ended.err
    ledger = load_ledger(study, Stores(open_home(home)))
    return Reported(path, ended.json, ReadPage(path.read_text("utf-8")), ledger)


@pytest.fixture(scope="module")
def report(planted: FinishedStudy, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    path = tmp_path_factory.mktemp("report") / "report.html"
    return reported(planted.home, "s1", path)


def equals_the_ledger(report: Reported) -> None:
    """Every value of every trial, in the data and in the tables."""
    trials = report.ledger.trials()
    result = report.page.data["result"]
    shown = {one["trial"]: one for one in [*result["trials"], *result["unranked"]]}
    assert sorted(shown) == [trial.number for trial in trials]
    names = [objective.name for objective in report.ledger.spec.objectives]
    table = report.page.tables["Ranked trials"]
    cells = {row[0].text: row for row in table.rows}
    for trial in trials:
        one = shown[trial.number]
        assert one["parameters"] == dict(trial.parameters)
        assert one["epochs"] == len(trial.epochs)
        if trial.state is TrialState.COMPLETE:
            assert trial.values is not None
            assert one["values"] == dict(zip(names, trial.values, strict=True))
            row = cells[str(trial.number)]
            assert [cell.value for cell in row[2 : 2 + len(names)]] == list(trial.values)
    assert len(cells) == sum(trial.state is TrialState.COMPLETE for trial in trials)
    assert report.told["bytes"] == report.path.stat().st_size < MOST_BYTES


def chosen(report: Reported) -> tuple[str, int]:
    """What the front offers, and the number of its trial."""
    result = report.page.data["result"]
    role = "knee" if result["compromise"] is None else "compromise"
    return role, result[role]


def models_equal_the_ledger(report: Reported) -> None:
    """The curves of the chosen models, measured anew from their files, go through its numbers."""
    trials = {trial.number: trial for trial in report.ledger.trials()}
    models = report.page.data["models"]
    role, number = chosen(report)
    roles = {model["role"]: model["trial"] for model in models}
    assert roles[role] == number
    assert "vmask-only" in roles or number == 1
    for model in models:
        assert model["problem"] is None
        scores = trials[model["trial"]].scores
        assert scores is not None
        curve = {one["k"]: one for one in model["curve"]["deletions"]}
        assert sorted(curve) == [0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
        assert curve[0.3]["srs"] == deletion_at(scores, 0.3).srs
        assert model["curve"]["accuracy"] == scores.accuracy
        assert len(model["predictions"]) == report.told["texts"]


def test_the_numbers_are_the_ledgers_and_the_models_are_looked_at(report: Reported) -> None:
    equals_the_ledger(report)
    models_equal_the_ledger(report)
    assert report.told["missing"] == []
    assert report.told["texts"] == 6
    labels = [one["label"] for one in report.page.data["examples"]["texts"]]
    assert sorted(labels) == sorted(2 * sorted(set(labels)) + sorted(set(labels)))


def test_what_is_gone_is_said(report: Reported, tmp_path: Path) -> None:
    role, number = chosen(report)
    checkpoint = report.ledger.trial(number).checkpoint
    assert checkpoint is not None
    weights = Path(checkpoint.uri) / "weights.safetensors"
    kept = weights.read_bytes()
    weights.unlink()
    try:
        again = reported(Path(checkpoint.uri).parents[3], "s1", tmp_path / "r.html")
    finally:
        weights.write_bytes(kept)
    sentence, of_scorecard = again.told["missing"]
    assert "is not on the scorecard (checkpoint: " in of_scorecard
    assert sentence.startswith(f"The model of trial {number} ({role}) is no longer there")
    assert sentence in again.page.text
    equals_the_ledger(again)


@pytest.mark.browser
def test_the_page_opens_offline_and_is_read_on_any_screen(report: Reported) -> None:
    with browser_page() as page:
        said, asked = opened(page, report.path)
        for width in (400, 768, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        paper = "getComputedStyle(document.body).backgroundColor"
        seen = {}
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            seen[scheme] = page.evaluate(paper)
            contrast = page.evaluate(_LUMINANCE)
            assert contrast["text"] >= 4.5, scheme
            assert contrast["marks"] >= 3, scheme
        assert seen["light"] != seen["dark"]
        page.emulate_media(color_scheme="dark", media="print")
        assert page.evaluate(paper) == seen["light"] == "rgb(255, 255, 255)"
        assert not page.locator("nav").is_visible()
        assert (said, asked) == ([], [])


@pytest.mark.browser
def test_the_page_is_used_with_the_keyboard_and_with_a_mouse(
    report: Reported, tmp_path: Path
) -> None:
    with browser_page() as page:
        said, asked = opened(page, report.path)
        tip = page.locator(".tip")
        assert not tip.is_visible()
        # A chart is one stop of the tab key, at the knee or the compromise.
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('svg.front .mark')"):
                break
        number = str(chosen(report)[1])
        assert page.evaluate(_FOCUSED) == number
        assert tip.inner_text().startswith(f"Trial {number}: ")
        ring = "getComputedStyle(document.activeElement.querySelector('.halo')).stroke"
        assert page.evaluate(ring) != "none"
        assert page.locator("svg.front .mark[tabindex='0']").count() == 1

        # The arrows walk all its marks by accuracy.
        page.keyboard.press("Home")
        walked = [page.evaluate(_FOCUSED)]
        for _ in range(page.locator("svg.front .mark[tabindex]").count() - 1):
            page.keyboard.press("ArrowRight")
            walked.append(page.evaluate(_FOCUSED))
        trials = {str(one["trial"]): one for one in report.page.data["result"]["trials"]}
        accuracies = [trials[number]["values"]["accuracy"] for number in walked]
        assert sorted(walked) == sorted(trials)
        assert accuracies == sorted(accuracies)
        assert page.locator(f"tr[data-trial='{walked[-1]}'].lit").count() >= 1
        page.keyboard.press("Escape")
        assert not tip.is_visible()

        table = page.locator("[aria-label='Ranked trials']")
        table.get_by_role("button", name="SRS(30)").focus()
        page.keyboard.press("Enter")
        shown = [float(text) for text in table.locator("tbody td:nth-child(4)").all_inner_texts()]
        assert shown == sorted(shown, reverse=True)

        page.locator(".view .w.mark").first.hover()
        assert "capacity" in tip.inner_text()
        with page.expect_download() as saving:
            page.get_by_role("button", name="Save its numbers as JSON").click()
        saving.value.save_as(tmp_path / "numbers.json")
        assert json.loads((tmp_path / "numbers.json").read_text("utf-8")) == report.page.data
        assert (said, asked) == ([], [])


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.timeout(5400)
def test_the_report_of_forty_trials_on_sst2(real_data: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ended = safr(
        home,
        *("search", "--dataset", "sst2", "--study", "forty", "--trials", "40", "--epochs", "4"),
        *("--train-limit", "2500", "--seed", "0"),
        timeout=5000,
    )
    assert ended.code == 0, ended.err
    found = reported(home, "forty", tmp_path / "report.html")
    assert found.told["trials"] >= 40
    equals_the_ledger(found)
    models_equal_the_ledger(found)
    with browser_page() as page:
        assert opened(page, found.path) == ([], [])
        marks = page.locator("svg.front .mark[tabindex]").count()
        assert marks == len(found.page.data["result"]["trials"])


def opened(page: Page, path: Path) -> tuple[list[str], list[str]]:
    """Open a file without a network; what the console said, and what was asked for beside it."""
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.set_viewport_size({"width": 1400, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    return said, [u for u in asked if u != path.as_uri() and not u.startswith(("data:", "blob:"))]
