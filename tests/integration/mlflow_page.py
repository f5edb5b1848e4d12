"""MLflow's page of an experiment, as a person sees it in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from safr_study.tracking.ui import experiment_url
from safr_study.tracking.views import TRIALS

_ROOM = {"width": 32000, "height": 1200}
"""The table keeps only the cells in view: wide enough for every metric of a study."""
_SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
]
_CELLS = """() => Array.from(document.querySelectorAll('.ag-cell'), cell => [
    cell.closest('[row-index]').getAttribute('row-index'),
    cell.getAttribute('col-id'),
    cell.innerText,
])"""
_PATIENCE = 120_000
"""Milliseconds; the first load takes seconds on an idle machine, more on a busy one."""


@dataclass(frozen=True)
class RunsPage:
    """What the table of an experiment's runs shows."""

    text: str
    """Of the whole page."""
    rows: list[tuple[str, dict[str, float]]]
    """From top to bottom: the run's name, and its metrics as the page writes them."""


def runs_page(url: str, experiment_id: str, picture: Path | None = None) -> RunsPage:
    """Open an experiment's page with the column of every metric, and read it.

    Args:
        url: of the MLflow server.
        experiment_id: MLflow's id.
        picture: where to keep a PNG of the page.
    """
    with browser_page() as page:
        page.goto(experiment_url(url, experiment_id))
        page.get_by_text("matching runs").wait_for()
        page.get_by_role("button", name="Columns", exact=True).click()
        group = page.locator("[class*=tree-treenode]").filter(has_text="Metrics (").first
        metrics = int(group.inner_text().partition("(")[2].rstrip(")\n "))
        group.locator("[class*=tree-checkbox]").first.click()
        page.keyboard.press("Escape")
        page.wait_for_function(
            "n => document.querySelectorAll('.ag-header-cell[col-id^=\"metrics.\"]').length == n",
            arg=metrics,
        )
        page.wait_for_function(f"() => ({_CELLS})().some(cell => cell[1].startsWith('metrics.'))")
        if picture is not None:
            page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 4000, "height": 1200})
        return RunsPage(page.inner_text("body"), _rows(page.evaluate(_CELLS)))


def view_page(url: str, experiment_id: str, picture: Path | None = None) -> tuple[str, list[str]]:
    """Open the link that is printed, with a fresh profile: the page's text, its metric columns.

    Args:
        url: of the MLflow server.
        experiment_id: MLflow's id.
        picture: where to keep a PNG of the page.
    """
    with browser_page() as page:
        page.goto(experiment_url(url, experiment_id, TRIALS))
        page.get_by_text("matching runs").wait_for()
        page.wait_for_function(f"() => ({_CELLS})().some(cell => cell[1].startsWith('metrics.'))")
        if picture is not None:
            page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 2400, "height": 1200})
        columns = page.evaluate(
            "() => Array.from(document.querySelectorAll('.ag-header-cell'), "
            "cell => cell.getAttribute('col-id'))"
        )
        return page.inner_text("body"), list(dict.fromkeys(columns))


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of the system's Chromium that reaches the loopback interface alone."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine: nothing to look at the page with")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_SWITCHES)
        page = browser.new_page(viewport=_ROOM)
        page.set_default_timeout(_PATIENCE)
        page.route(
            lambda url: url.startswith("http") and not url.startswith("http://127.0.0.1:"),
            lambda route: route.abort(),
        )
        yield page
        browser.close()


def _rows(cells: list[tuple[str, str, str]]) -> list[tuple[str, dict[str, float]]]:
    names: dict[int, str] = {}
    metrics: dict[int, dict[str, float]] = {}
    for index, column, text in cells:
        row = int(index)
        if column == "attributes.`Run Name`":
            # The first line is the colour of the run.
            names[row] = text.splitlines()[-1]
        elif column.startswith("metrics.") and text != "-":
            metrics.setdefault(row, {})[column.removeprefix("metrics.").strip("`")] = float(text)
    return [(names[row], metrics.get(row, {})) for row in sorted(names)]
