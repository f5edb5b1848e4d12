"""MLflow's page on which runs are compared, reached and read as a person does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow_page import browser_page
from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as TookTooLong

from safr_study.tracking.ui import experiment_url

SHOWN = {"width": 1120, "height": 760}
"""Of a picture that is read at the width of a README."""
COLUMNS = ("objective/accuracy", "objective/srs_30", "pareto_rank", "study", "lambda_imp")

NOT_SHOWN = ("Dataset", "Source", "Models")

_LINK = "a[title='Plot chart']"
"""Of a metric's name, to its chart."""
_CELLS = """grid => {
    const found = [];
    for (const cell of grid.querySelector('.ReactVirtualized__Grid__innerScrollContainer').children)
        found.push([parseInt(cell.style.top), parseInt(cell.style.left), cell.innerText.trim()]);
    return found;
}"""


@contextmanager
def experiment_tab(url: str, experiment_id: str) -> Iterator[Page]:
    """An experiment's runs in a window of a person's size, with the columns that say the most."""
    with browser_page() as page:
        page.set_viewport_size(SHOWN)
        page.goto(experiment_url(url, experiment_id))
        page.get_by_text("matching runs").wait_for()
        _without_assistant(page)
        page.get_by_role("button", name="Toggle sidebar").click()
        page.get_by_role("button", name="Columns", exact=True).click()
        for column in (*COLUMNS, *NOT_SHOWN):
            _switch_column(page, column)
        page.keyboard.press("Escape")
        page.locator(".ag-header-cell[col-id='metrics.`pareto_rank`']").wait_for()
        yield page


def _switch_column(page: Page, column: str) -> None:
    node = page.locator("[class*=tree-treenode]").filter(has=page.get_by_text(column, exact=True))
    for _ in range(10):
        # The page may be drawn anew, and forget what was typed.
        page.get_by_placeholder("Search columns").fill(column)
        with suppress(TookTooLong):
            node.first.locator("[class*=tree-checkbox]").first.click(timeout=5000)
            return
    raise AssertionError(f"the page has no column {column}")


def compare_runs(page: Page, names: Sequence[str]) -> None:
    """Tick the runs of these names, press Compare, and wait for the page."""
    for name in names:
        row = page.locator(".ag-row").filter(has=page.get_by_text(name, exact=True)).first
        row.locator("input[type=checkbox]").first.check(force=True)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text(f"Comparing {len(names)} Runs").wait_for()


def compared_metrics(page: Page, runs: int) -> dict[str, list[str]]:
    """By the metric's name what the page writes for each of the runs, from left to right."""
    names, values = _grids(page)
    names.scroll_into_view_if_needed()
    found: dict[str, dict[int, str]] = {}
    seen = -1
    while seen < len(found):
        seen = len(found)
        labels = {top: text for top, _, text in names.evaluate(_CELLS)}
        for top, left, text in values.evaluate(_CELLS):
            if top in labels:
                found.setdefault(labels[top], {})[left] = text
        _scroll(page, values, min(labels) + 200)
    rows = {name: [cells[left] for left in sorted(cells)] for name, cells in found.items()}
    assert all(len(row) == runs for row in rows.values())
    return rows


def show_differences(page: Page, metric: str) -> None:
    """Fold the plots away, show what differs alone, and scroll a metric into view."""
    page.set_viewport_size({**SHOWN, "height": 1180})
    page.get_by_text("Visualizations", exact=True).click()
    for switch in page.get_by_role("switch").all():
        switch.click()
    _, values = _grids(page)
    links = page.locator(_LINK)
    top = 0
    while not links.get_by_text(metric, exact=True).count() and top < 20_000:
        top += 200
        _scroll(page, values, top)
    place = "link => parseInt(link.parentElement.style.top)"
    _scroll(page, values, links.filter(has_text=metric).first.evaluate(place))
    page.get_by_text("Run details", exact=True).scroll_into_view_if_needed()


def _grids(page: Page) -> tuple[Locator, Locator]:
    """Of the metrics: their names, and their values beside them."""
    grids = page.locator(".ReactVirtualized__Grid")
    return grids.filter(has=page.locator(_LINK)).first, grids.nth(1)


def _scroll(page: Page, values: Locator, top: int) -> None:
    # The names follow one event behind.
    for nudge in (0, 1):
        values.evaluate("(grid, top) => { grid.scrollTop = top; }", top + nudge)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    page.wait_for_timeout(150)


def keep_picture(page: Page, path: Path | None) -> None:
    """A PNG of what the window shows."""
    if path is not None:
        page.mouse.move(0, 0)
        page.screenshot(path=path)


def _without_assistant(page: Page) -> None:
    with suppress(TookTooLong):
        page.get_by_role("button", name="Close").first.click(timeout=5000)
