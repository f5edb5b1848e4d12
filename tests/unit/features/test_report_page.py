"""The report of a study: its numbers are those of the ledger, and it is safe to open."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brute_pareto import brute_fronts
from explained import explained
from html_page import ReadPage
from reported_study import (
    FAILED,
    FAILURE,
    FRONT,
    RUNNING,
    SATURATED,
    STOPPED,
    VALUES,
    confirm_front,
    end,
    varied_study,
)
from stored_study import FACTS, ask, begin, study_spec

from safr_study.features.report.inspect_models import Example, Examples, InspectedModel
from safr_study.features.report.page import key_facts, lead, study_page
from safr_study.features.report.report import ReportRequest, StudyReport, study_report
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger
from safr_study.pareto import rank_study
from safr_study.records import Measure
from safr_study.render.front_page import front_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'<!--"


def report_of(home: Home, name: str = "s", **changes: Any) -> StudyReport:
    request = ReportRequest(study=name, out=Path("r.html"), quick=True, **changes)
    return study_report(request, Stores(home))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return open_home(tmp_path_factory.mktemp("reported") / "home")


@pytest.fixture(scope="module")
def ledger(home: Home) -> Ledger:
    return varied_study(home)


@pytest.fixture(scope="module")
def page(home: Home, ledger: Ledger) -> ReadPage:
    return ReadPage(study_page(report_of(home)))


def swept(points: list[tuple[float, float]], corner: tuple[float, float]) -> float:
    """Area above a corner, column by column from the right."""
    area, height = 0.0, corner[1]
    for x, y in sorted(points, reverse=True):
        if y > height and x > corner[0]:
            area += (x - corner[0]) * (y - height)
            height = y
    return area


def test_the_embedded_numbers_equal_the_ledgers_value_by_value(
    page: ReadPage, ledger: Ledger
) -> None:
    stored = ledger.study.get_trials()
    result = page.data["result"]
    shown = {trial["trial"]: trial for trial in [*result["trials"], *result["unranked"]]}
    assert sorted(shown) == list(range(len(stored))) == list(range(11))
    for number, trial in shown.items():
        attributes = stored[number].user_attrs
        assert trial["parameters"] == attributes["parameters"]
        assert trial["seed"] == attributes["seed"]
        assert trial["epochs"] == sum(key.startswith("epoch:") for key in attributes)
        if number in VALUES:
            assert [trial["values"][name] for name in ("accuracy", "srs@30")] == stored[
                number
            ].values
            scores = attributes["scores"]
            assert trial["scores"] == {**trial["scores"], **scores}
            assert trial["seconds"] == attributes["seconds"]
            spread = page.data["spreads"][str(number)]
            assert spread["accuracy"]["half"] == pytest.approx(1.959964 * scores["accuracy_se"])
            deletion = scores["deletions"][0]
            assert spread["srs@30"]["half"] == pytest.approx(1.959964 * deletion["srs_se"])
        else:
            assert trial["values"] is None
    points = [tuple(stored[number].values) for number in VALUES]
    fronts = dict(zip(VALUES, brute_fronts(points), strict=True))
    assert {number for number, front in fronts.items() if front == 0} == FRONT
    assert {trial["trial"]: trial["front"] for trial in result["trials"]} == fronts
    assert set(result["front"]) == FRONT
    assert result["hypervolume"] == pytest.approx(swept(points, FACTS.reference_point))
    assert page.data["history"][-1]["hypervolume"] == pytest.approx(result["hypervolume"])
    for count, point in enumerate(page.data["history"], start=1):
        ended = [one["trial"] for one in page.data["history"][:count]]
        so_far = [VALUES[number] for number in ended if number in VALUES]
        assert point["hypervolume"] == pytest.approx(swept(so_far, FACTS.reference_point))


def test_the_tables_show_the_ledgers_numbers(page: ReadPage, ledger: Ledger) -> None:
    stored = ledger.study.get_trials()
    table = page.tables["Ranked trials"]
    numbers = [int(cell.text) for cell in table.column("Trial")]
    assert sorted(numbers) == sorted(VALUES)
    for axis, column in enumerate(("Accuracy", "SRS(30)")):
        for number, cell in zip(numbers, table.column(column), strict=True):
            assert cell.value == stored[number].values[axis]
            assert cell.text == f"{stored[number].values[axis]:.2f}"
    for name in ("lambda_imp", "lambda_inter"):
        for number, cell in zip(numbers, table.column(name), strict=True):
            assert cell.value == stored[number].user_attrs["parameters"][name]
    notes = dict(zip(numbers, (cell.text for cell in table.column("Note")), strict=True))
    assert "saturated" in notes[SATURATED]
    assert "baseline" in notes[0]
    front = page.tables["The front and the baselines"]
    assert {int(cell.text) for cell in front.column("Trial")} == FRONT | {0, 1}
    for number, cell in zip(front.column("Trial"), front.column("SRS(30)"), strict=True):
        value = stored[int(number.text)].values[1]
        error = stored[int(number.text)].user_attrs["scores"]["deletions"][0]["srs_se"]
        assert cell.text == f"{value:.2f} ± {1.959964 * error:.2f}"
    others = page.tables["Trials without a rank"]
    states = {
        int(number.text): (state.text, why.text)
        for number, state, why in zip(
            *(others.column(name) for name in ("Trial", "State", "Why")), strict=True
        )
    }
    assert states == {
        STOPPED: ("stopped at epoch 2", ""),
        FAILED: ("failed", FAILURE),
        RUNNING: ("running", ""),
    }
    capacity = page.tables["Capacity at FFN1"]
    for number, cell in zip(capacity.column("Trial"), capacity.column("Important"), strict=True):
        layers = stored[int(number.text)].user_attrs["scores"]["superposition"]
        (measured,) = [one for one in layers if one["layer"] == "ffn1_pre"]
        assert cell.value == measured["mean_capacity_important"]


def test_every_trial_is_one_mark_where_its_values_say(page: ReadPage) -> None:
    places = {
        int(mark["data-trial"]): [float(text) for text in mark["place"].split()]
        for mark, _ in page.marks["front"]
    }
    assert places.keys() == VALUES.keys()
    assert len(page.marks["front"]) == len(VALUES)
    for axis, turned in ((0, 1.0), (1, -1.0)):
        pixels = np.array([turned * places[number][axis] for number in VALUES])
        values = np.array([VALUES[number][axis] for number in VALUES])
        slope, start = np.polyfit(values, pixels, 1)
        assert slope > 0
        np.testing.assert_allclose(slope * values + start, pixels, atol=0.2)
    sentences = {int(mark["data-trial"]): said for mark, said in page.marks["front"]}
    assert "Accuracy 70.06 ± " in sentences[2]
    assert "SRS(30) 14.28 ± " in sentences[2]
    assert "saturated" in sentences[SATURATED]
    threads = {int(mark["data-trial"]) for mark, _ in page.marks["parallel"]}
    assert threads == VALUES.keys()


def test_a_confirmation_is_shown_with_its_intervals(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    confirm_front(varied_study(home))
    page = ReadPage(study_page(report_of(home)))
    found = page.data["confirmation"]
    assert found["seeds"] == [1, 2, 3]
    assert set(found["front_before"]) == FRONT
    assert len(page.marks["front"]) == len(VALUES) + len(FRONT)
    (table,) = [table for name, table in page.tables.items() if name.startswith("On dev")]
    numbers = [cell.text.lstrip("*!x") for cell in table.column("trial")]
    cells = dict(zip(numbers, table.column("accuracy"), strict=True))
    assert {int(number) for number in numbers} == FRONT | {0, 1}
    for trial in found["trials"]:
        mean = np.mean(trial["dev"]["accuracy"]["points"])
        assert trial["dev"]["accuracy"]["mean"] == pytest.approx(mean)
        assert cells[str(trial["trial"])].text.startswith(f"{mean:.2f} [")


def test_the_first_sentences_have_the_means_of_the_new_seeds_once_there_are_some(
    tmp_path: Path,
) -> None:
    home = open_home(tmp_path / "home")
    ledger = varied_study(home)
    searched = report_of(home)
    assert "safr-study confirm measures it anew" in lead(searched)
    chosen = searched.result.choice
    assert chosen is not None
    facts = list(key_facts(searched))
    assert facts[0] == ("Accuracy of the knee", f"{chosen.objectives[0]:.2f}", "on dev")

    confirm_front(ledger)
    confirmed = report_of(home)
    assert confirmed.confirmation is not None
    new = confirmed.confirmation.result.choice
    assert new is not None
    # The new seeds choose another trial than the search had.
    assert new.trial.number != chosen.trial.number
    accuracy = f"{new.objectives[0]:.2f}"
    said = lead(confirmed)
    assert said.startswith("By the means over 3 new seeds ")
    assert f"is trial {new.trial.number} ({new.trial.label}) with accuracy {accuracy}" in said
    before = f"{VALUES[new.trial.number][0]:.2f}"
    assert next(key_facts(confirmed)) == (
        f"Accuracy of the {new.choice}",
        accuracy,
        f"mean of new seeds; {before} in the search",
    )
    marked = f"The {new.choice} of these means is trial {new.trial.number}"
    assert marked in study_page(confirmed)
    assert marked not in study_page(searched)


def test_a_change_says_what_it_is_where_lower_is_better(home: Home, ledger: Ledger) -> None:
    report = report_of(home)
    lower = replace(report.result, objectives=("accuracy", "sufficiency@30"))
    said = lead(replace(report, result=lower))
    # The knee has more of the second objective than either baseline.
    assert re.findall(r"sufficiency\(30\) [+−][\d.]+ \((\w+)\)", said) == ["worse", "worse"]
    assert not re.search(r"SRS\(30\) [+−][\d.]+ \(", lead(report))


@pytest.fixture
def hostile(home: Home, ledger: Ledger) -> StudyReport:
    """A report in which everything that a user names attacks the page."""
    report = report_of(home)
    explanation = explained(f"good {HOSTILE} film", unknown=(HOSTILE,))
    spec = study_spec("s", corpus={"dataset": HOSTILE})
    trials = tuple(
        replace(
            ranked, trial=replace(ranked.trial, baseline=HOSTILE, parameters={HOSTILE: HOSTILE})
        )
        for ranked in report.result.ranked
    )
    failed = tuple(replace(trial, failure=HOSTILE) for trial in report.result.unranked)
    return replace(
        report,
        spec=spec,
        result=replace(report.result, dataset=HOSTILE, ranked=trials, unranked=failed),
        command=HOSTILE,
        models=(
            InspectedModel(0, HOSTILE, explanations=(explanation,)),
            InspectedModel(1, "x", problem=HOSTILE),
        ),
        examples=Examples((Example(0, HOSTILE, HOSTILE),), rule=HOSTILE, problem=HOSTILE),
    )


def test_whatever_users_name_is_text(hostile: StudyReport) -> None:
    html = study_page(hostile)
    page = ReadPage(html)
    assert [found.get("type") for tag, found in page.tags if tag == "script"] == [
        "application/json",
        None,
    ]
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert page.data["result"]["dataset"] == HOSTILE
    assert page.data["command"] == HOSTILE
    assert HOSTILE in page.text
    assert "<!--" not in html


def test_nothing_is_loaded_and_a_policy_forbids_it(page: ReadPage, home: Home) -> None:
    (policy,) = [
        found["content"]
        for tag, found in page.tags
        if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    html = study_page(report_of(home))
    assert not re.search(r"https?:", html)
    links = [found["href"] for _, found in page.tags if "href" in found]
    assert links
    assert all(link.startswith("#") for link in links)
    ids = {found["id"] for _, found in page.tags if "id" in found}
    assert {link.removeprefix("#") for link in links} <= ids
    assert not [found for _, found in page.tags if "src" in found]


def test_a_study_without_a_complete_trial_has_a_page_that_says_so(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    begin(home, study_spec())
    report = report_of(home)
    page = ReadPage(study_page(report))
    assert "No trial is complete yet" in page.text
    assert "provenance" in {f["aria-labelledby"][2:] for t, f in page.tags if t == "section"}
    assert "No trial is complete yet." in ReadPage(front_page(report.result)).text


def test_the_front_alone_is_a_small_page_with_the_same_marks(page: ReadPage, home: Home) -> None:
    html = front_page(report_of(home).result)
    alone = ReadPage(html)
    assert alone.marks["front"] == page.marks["front"]
    assert alone.data == page.data["result"]
    assert alone.charts == ["front"]
    assert len(html) < 100_000


def test_a_study_of_a_thousand_trials_stays_small(home: Home, ledger: Ledger) -> None:
    scores = ledger.trial(4).scores
    assert scores is not None
    # As many layers as a real model has.
    full = replace(scores, superposition=scores.superposition[:1] * 7)
    values = np.random.default_rng(0).normal((70.0, 8.0), 2.0, (1000, 2)).tolist()
    trials = [
        replace(ledger.trial(4), number=number, values=tuple(pair), scores=full)
        for number, pair in enumerate(values)
    ]
    report = report_of(home)
    result = rank_study("s", "planted", report.result.objectives, (50.0, 0.0), trials, asked=1000)
    html = study_page(replace(report, result=result))
    assert len(html.encode()) < 8_000_000
    page = ReadPage(html)
    assert len(page.marks["front"]) == len(page.tables["Ranked trials"].rows) == 1000
    whole = {one["trial"] for one in page.data["result"]["trials"] if one["scores"] is not None}
    assert whole == set(page.data["result"]["front"])
    assert whole


def test_the_classes_have_their_measures_and_their_matrix_where_they_were_measured(
    home: Home, ledger: Ledger, page: ReadPage
) -> None:
    assert "Quality of the classes beyond accuracy" not in page.tables
    old = ledger.trial(4)
    assert old.scores is not None
    measures = {"macro_f1": Measure(61.25), "brier": Measure(0.375, 0.0125)}
    scores = replace(
        old.scores, values={**old.scores.values, **measures}, confusion=((30, 10), (5, 0))
    )
    report = report_of(home)
    trial = replace(old, scores=scores)
    result = rank_study("s", "planted", report.result.objectives, (50.0, 0.0), [trial], asked=1)
    examples = Examples(class_names=("<good>", "bad"))
    tables = ReadPage(study_page(replace(report, result=result, examples=examples))).tables
    quality = tables["Quality of the classes beyond accuracy"]
    (row,) = quality.rows
    shown = [cell.text for cell in row]
    assert shown[0] == f"4 {trial.label}"
    # What nobody measured has no column.
    assert shown[1:] == ["61.25", "0.3750 ± 0.0125", "0.5000"]
    (matrix,) = [one for name, one in tables.items() if name.endswith("percentage points")]
    assert [[cell.text for cell in row] for row in matrix.rows] == [
        ["<good>", "40", "85.71", "75.00", "30", "10"],
        ["bad", "5", "0.00", "0.00", "5", "0"],
    ]


def test_three_objectives_have_a_chart_for_each_pair(tmp_path: Path) -> None:
    names = ("accuracy", "srs@30", "mean_cosine.ffn1_pre")
    home = open_home(tmp_path / "home")
    ledger = begin(home, study_spec(objectives=[{"name": name} for name in names]))
    for number in ask(ledger, 3):
        end(ledger, number, (70.0 + number, 9.0 - number, 0.25 * number))
    facts = ledger.study.user_attrs["facts"]
    ledger.study.set_user_attr("facts", {**facts, "reference_point": [50.0, 0.0, 1.0]})
    page = ReadPage(study_page(report_of(home)))
    assert page.charts.count("front") == 3
    assert len(page.marks["front"]) == 3 * 3
    # Less is better: its axis is turned round, so that better stays upwards.
    heights = {
        int(mark["data-trial"]): float(mark["place"].split()[1])
        for mark, _ in page.marks["front"][-3:]
    }
    assert heights[0] < heights[1] < heights[2]
