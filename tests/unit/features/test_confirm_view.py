from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from synthetic_confirmation import draw, drawn_runs, run, searched, with_contrast

from safr_study.features.confirm.view import confirmation_page
from safr_study.records.run import ReadingOfTest, RunResult
from safr_study.render.terminal import TerminalTable
from safr_study.render.text_table import TextTable
from safr_study.uncertainty.confirmation import Confirmation, confirmation

FOUND = {0: (70.0, 8.0), 1: (72.0, 6.0), 2: (80.0, 10.0), 3: (74.0, 25.0)}
BASELINES = {0: "no-vmask", 1: "vmask-only"}
RATES = {0: (0.7, 0.65), 1: (0.95, 0.3), 2: (0.75, 0.7), 3: (0.7, 0.45)}


def answers(right: int, lost: int) -> tuple[np.ndarray, np.ndarray]:
    """So many texts of 40 right, and so many of them lost without the top."""
    full = np.arange(40) < right
    return full, full & (np.arange(40) < right - lost)


def found(**changes: object) -> Confirmation:
    return confirmation(searched(FOUND, BASELINES), drawn_runs(RATES, (1, 2)), (1, 2), **changes)


def exact(*, test: bool = True) -> Confirmation:
    """Means that can be reckoned by hand: trial 2 falls, trial 3 stays, a baseline joins."""
    rights = {0: (20, 2), 1: (36, 10), 2: (30, 4), 3: (28, 12)}
    runs = {}
    for number, (right, lost) in rights.items():
        for seed, more in ((1, 0), (2, 2)):
            both = answers(right + more, lost)
            runs[number, seed] = run(number, seed, *both, test=both if test else None)
    return confirmation(searched(FOUND, BASELINES), runs, (1, 2))


def tables_of(result: Confirmation, *, wide: bool) -> tuple[TextTable, ...]:
    return confirmation_page(result, wide=wide).tables


def notes(result: Confirmation) -> tuple[str, ...]:
    return confirmation_page(result, wide=True).notes


def said(result: Confirmation, word: str) -> str:
    (note,) = [note for note in notes(result) if word in note]
    return note


def rendered(result: Confirmation) -> str:
    page = io.StringIO()
    console = Console(file=page, width=80, highlight=False, markup=False, emoji=False)
    for table in tables_of(result, wide=False):
        console.print(TerminalTable(table))
    return page.getvalue()


def of_three_objectives() -> Confirmation:
    """As `found`, with a third objective that is 5 everywhere."""
    spread = searched(FOUND, BASELINES)
    ranked = tuple(
        replace(one, trial=replace(one.trial, values=(*FOUND[one.trial.number], 5.0)))
        for one in spread.ranked
    )
    names = ("accuracy", "srs@30", "srs@10")
    result = replace(spread, objectives=names, ranked=ranked, reference_point=(50.0, 0.0, 0.0))
    runs = {key: _with_third(one) for key, one in drawn_runs(RATES, (1, 2)).items()}
    return confirmation(result, runs, (1, 2))


def _with_third(one: RunResult) -> RunResult:
    assert one.dev is not None
    assert one.test is not None
    top = {"10": one.dev.answers.full, "30": one.dev.answers.top["30"]}
    answers = replace(one.dev.answers, top=top)
    dev, test = (
        replace(split, values=(*split.values, 5.0), answers=answers)
        for split in (one.dev, one.test)
    )
    return replace(one, dev=dev, test=test)


@pytest.mark.parametrize(
    ("result", "tables"), [(found(), 3), (of_three_objectives(), 6)], ids=["two", "three"]
)
def test_the_tables_fit_80_columns_whole(result: Confirmation, tables: int) -> None:
    page = rendered(result)
    assert max(map(len, page.splitlines())) <= 80
    assert "…" not in page
    made = tables_of(result, wide=False)
    assert len(made) == tables
    # The settings may fold; numbers never do.
    cells = [cell for sheet in made for row in sheet.rows for cell in (row[0], *row[2:])]
    assert [cell for cell in cells if cell not in page] == []


def test_a_cell_is_mean_and_half_or_the_ends() -> None:
    seeds = (1, 2, 3)
    result = confirmation(searched(FOUND, BASELINES), drawn_runs(RATES, seeds), seeds)
    interval = result.trials[0].dev[0].interval
    assert interval is not None
    dev = tables_of(result, wide=False)[0]
    half = (interval.high - interval.low) / 2
    assert dev.rows[0][2] == f"{interval.mean:.2f} ±{half:.2f}"
    assert "mean ± half its 95 % interval over the new seeds" in dev.title
    wide = tables_of(result, wide=True)[0]
    assert wide.rows[0][2] == f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    assert "mean [95 % interval] over the new seeds" in wide.title


@pytest.mark.parametrize("wide", [False, True])
def test_two_seeds_have_means_and_no_interval(wide: bool) -> None:
    result = exact()
    # 77.5 of 40 texts, 80 in the search.
    dev, change, test = tables_of(result, wide=wide)
    assert dev.rows[0][2] == test.rows[0][2] == "77.50"
    assert change.rows[0][2:4] == ("80.00", "-2.50")
    assert "interval" not in dev.title + test.title
    page = confirmation_page(result, wide=True)
    assert page.title == "Confirmation of s1 (planted): 4 trials, 2 new seeds (1, 2)"


def test_metrics_beside_the_objectives_have_tables_of_their_own() -> None:
    seeds = (1, 2, 3)
    drawn = drawn_runs(RATES, seeds)
    runs = {key: with_contrast(one, 20.0 + key[1], 9.0) for key, one in drawn.items()}
    result = confirmation(searched(FOUND, BASELINES), runs, seeds)
    *_, short = tables_of(result, wide=False)
    *_, dev, test = tables_of(result, wide=True)
    assert "Beside the objectives, on test" in short.title
    assert short.columns[2:] == (">contrast(30)",)
    assert short.rows[0][2].startswith("9.00 ±")
    assert "on dev" in dev.title
    assert dev.rows[0][2].startswith("22.00 [")
    assert test.rows[0][2].startswith("9.00 [")


def test_without_a_reading_there_is_no_test_table() -> None:
    assert len(tables_of(exact(test=False), wide=True)) == 2
    assert not [note for note in notes(exact(test=False)) if "test set" in note]


def test_who_stays_leaves_and_joins_is_said_with_numbers() -> None:
    result = exact()
    places = {row[0].strip("*~!x"): row[-1] for row in tables_of(result, wide=True)[0].rows}
    assert places == {"2": "leaves", "3": "stays", "0": "", "1": "joins"}
    note = said(result, "on the front of the new means")
    assert note.startswith("Of the 2 trials on the search's front 1 stays")
    assert "(3), 1 leaves it (2)." in note
    assert "Of the baselines off it 1 joins (1)." in note


def test_the_winners_curse_is_said_with_numbers() -> None:
    note = said(exact(), "Winner's curse")
    # Members: 80 - 77.5 and 74 - 72.5; 10 - 10 and 25 - 30. Baselines: 70 - 52.5 and 72 - 92.5;
    # 8 - 5 and 6 - 25.
    assert "by +2.00 accuracy and -2.50 SRS(30) on average" in note
    assert "2 baselines off that front, which nobody selected: -1.50 accuracy and -8.00" in note
    # The interval of two values is 12.7 standard errors wide to each side.
    assert "in 0 of 2 for accuracy and 0 of 2 for SRS(30)" in note


def test_a_search_value_beyond_the_interval_is_counted() -> None:
    runs = drawn_runs(RATES, (1, 2))
    for seed in (1, 2):
        runs[2, seed] = run(2, seed, *answers(30, 4))
    note = said(confirmation(searched(FOUND, BASELINES), runs, (1, 2)), "Winner's curse")
    assert re.search(r"in 1 of 2 for accuracy", note)


def test_failed_saturated_and_unconfirmed_trials_are_named() -> None:
    runs = drawn_runs(RATES, (1, 2))
    runs[2, 1] = RunResult(2, 1, ended="2026-01-01T00:00:00+00:00", failure="it diverged.")
    runs[3, 2] = run(3, 2, draw(0.7, 1), draw(0.4, 2), saturated=True)
    result = confirmation(searched(FOUND, BASELINES), runs, (1, 2))
    assert said(result, "failed under") == "Trial 2 failed under seed 1: it diverged."
    assert "trial 3 (1 of 2 seeds)" in said(result, "collapsed")
    assert "1 could not be confirmed (2)" in said(result, "on the front of the new means")
    rows = {row[1]: row for row in tables_of(result, wide=True)[0].rows}
    labels = {one.trial.number: one.trial.label for one in result.trials}
    assert rows[labels[2]][0] == "x2"
    assert rows[labels[2]][-2:] == ("", "")
    assert "!" in rows[labels[3]][0]
    assert "x not confirmed" in tables_of(result, wide=True)[0].title


def test_the_method_follows_the_number_of_seeds() -> None:
    assert "--seeds 3 goes on from here" in said(found(), "no interval")
    some = confirmation(searched(FOUND, BASELINES), drawn_runs(RATES, (1, 2, 3)), (1, 2, 3))
    assert "Student-t over 3 seeds" in said(some, "Intervals")
    seeds = tuple(range(1, 11))
    many = confirmation(searched(FOUND, BASELINES), drawn_runs(RATES, seeds), seeds)
    assert "crossed bootstrap of 10 seeds" in said(many, "Intervals")
    assert "(1-10)" in confirmation_page(many, wide=True).title


def test_each_reading_of_the_test_set_is_told() -> None:
    first = ReadingOfTest("2026-01-03T00:00:00+00:00", ((2, 1), (2, 2), (3, 1)), {"knee": 3})
    note = said(found(readings=[first]), "The test set was")
    assert "read 2026-01-03T00:00:00+00:00 for 3 models (trials 2, 3; seeds 1, 2)" in note
    assert "knee 3" in note
    assert "It is not read again" in note
    more = ReadingOfTest("2026-02-03T00:00:00+00:00", ((2, 3), (3, 3)), {"knee": 3})
    again = notes(found(readings=[first, more]))
    assert sum("The test set was" in one for one in again) == 2
    assert not any("blind judge" in one for one in again)
    other = replace(more, runs=((4, 1),))
    assert any("blind judge" in one for one in notes(found(readings=[first, other])))


@pytest.mark.parametrize("asked", [1, 2])
def test_more_seeds_in_the_ledger_are_told(asked: int) -> None:
    seeds = (1, 2, 3)
    result = confirmation(searched(FOUND, BASELINES), drawn_runs(RATES, seeds), seeds[:asked])
    assert "--seeds 3 shows them all" in said(result, "More seeds")
