"""``optuna-dashboard`` over the ledger of a study that was really run."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import STUDY, FinishedStudy, environment
from mlflow_page import browser_page
from ray_nodes import free_port
from serving import answering

from safr_study.features.study_base.results import load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home
from safr_study.records import TrialState

pytest.importorskip("optuna_dashboard", reason="the extra `dashboard` is not installed")


@pytest.fixture(scope="module")
def dashboard(planted: FinishedStudy) -> Iterator[str]:
    """The address of the command that the README names."""
    journal = planted.home / "ledgers" / f"{STUDY}.journal"
    before = journal.read_bytes()
    port = free_port()
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), str(journal)]
    address = f"http://127.0.0.1:{port}"
    with answering(
        [*command, "--port", str(port)],
        f"{address}/dashboard",
        env=environment(planted.home),
        cwd=planted.home,
        ends_it=signal.SIGKILL,  # after Ctrl-C it waits half a minute for the browser
    ):
        yield address
    assert journal.read_bytes() == before


def ask(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"{address}/api/{path}", timeout=60) as answer:
        return json.load(answer)


def test_it_has_every_trial_with_its_objectives(planted: FinishedStudy, dashboard: str) -> None:
    (study,) = ask(dashboard, "studies")["study_summaries"]
    assert study["directions"] == ["maximize", "maximize"]
    found = ask(dashboard, f"studies/{study['study_id']}")
    shown = {trial["number"]: trial for trial in found["trials"]}
    trials = load_ledger(STUDY, Stores(open_home(planted.home))).trials()
    assert len(shown) == len(trials)
    for trial in trials:
        complete = trial.state is TrialState.COMPLETE
        assert (shown[trial.number]["state"] == "Complete") is complete
        if complete:
            assert shown[trial.number]["values"] == list(trial.values or ())


@pytest.mark.browser
def test_its_page_draws_the_front(dashboard: str) -> None:
    with browser_page() as page:
        page.set_viewport_size({"width": 1400, "height": 1400})
        page.goto(f"{dashboard}/dashboard")
        page.get_by_text(STUDY).first.click()
        page.get_by_text("Pareto").first.wait_for(timeout=30_000)
        page.locator(".js-plotly-plot").first.wait_for(timeout=30_000)
        if folder := os.environ.get("SAFR_STUDY_PICTURES"):
            page.screenshot(path=f"{folder}/optuna-dashboard.png")
