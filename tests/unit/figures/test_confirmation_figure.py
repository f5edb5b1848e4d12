from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from plain_scores import plain_scores

from safr_study.errors import BadInput
from safr_study.figures.canvas import Page
from safr_study.figures.confirmation import confirmation_figure
from safr_study.pareto import rank_study
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import Confirmation, ConfirmedTrial, Estimate
from safr_study.uncertainty.intervals import Interval

SVG = "{http://www.w3.org/2000/svg}"
BEFORE = {2: (80.0, 10.0), 4: (78.0, 18.0), 3: (74.0, 25.0), 0: (70.0, 8.0)}
AFTER = {2: (78.0, 9.0), 4: (74.0, 12.0), 3: (75.0, 22.0), 0: (71.0, 7.0)}


def ranked(values: dict[int, tuple[float, ...]], *more: str) -> StudyResult:
    trials = [
        TrialRecord(
            number=number,
            state=TrialState.COMPLETE,
            parameters={"lambda_imp": 0.01},
            seed=0,
            baseline="no-vmask" if number == 0 else None,
            values=found,
            scores=plain_scores(),
        )
        for number, found in values.items()
    ]
    objectives = ["accuracy", "srs@30", *more]
    return rank_study("s1", "sst2", objectives, [50.0, *[0.0] * (1 + len(more))], trials, asked=4)


def confirmed(
    before: dict[int, tuple[float, ...]],
    after: dict[int, tuple[float, ...]],
    *more: str,
    width: float = 1.0,
    seeds: int = 3,
) -> Confirmation:
    """Members of the front and a baseline; an objective beyond the second has no interval."""
    result = ranked(after, *more)
    places = {one.trial.number: one for one in result.ranked}

    def estimates(number: int) -> tuple[Estimate, ...]:
        return tuple(
            Estimate(mean, Interval(mean, mean - width, mean + width, "student-t", (mean,) * seeds))
            if place < 2
            else Estimate(mean)
            for place, mean in enumerate(after.get(number, ()))
        )

    trials = [
        ConfirmedTrial(
            trial=ranked({number: values}, *more).ranked[0].trial,
            runs=(),
            member=number != 0,
            dev=estimates(number) or (Estimate(None),) * len(values),
            test=(),
            ranked=places.get(number),
        )
        for number, values in before.items()
    ]
    objectives = tuple(Objective(name=name) for name in result.objectives)
    return Confirmation("s1", "sst2", objectives, (1, 2), tuple(trials), result, 400, 0)


def drawn(path: Path, confirmation: Confirmation) -> ET.Element:
    confirmation_figure(confirmation, Page(path, "Study s1, confirmed", "the caption"))
    return ET.fromstring(path.read_text(encoding="utf-8"))


def ids(page: ET.Element) -> set[str]:
    pattern = re.compile(r"^(before|move|interval|front|trial)-?")
    return {gid for element in page.iter() if pattern.match(gid := element.get("id", ""))}


def marker(page: ET.Element, gid: str) -> tuple[float, float]:
    [use] = page.findall(f".//*[@id='{gid}']//{SVG}use")
    return float(use.get("x", "")), float(use.get("y", ""))


def line(page: ET.Element, gid: str) -> list[tuple[float, float]]:
    path = page.find(f".//*[@id='{gid}']/{SVG}path")
    assert path is not None
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_every_trial_is_drawn_before_and_after_with_its_intervals(tmp_path: Path) -> None:
    page = drawn(tmp_path / "c.svg", confirmed(BEFORE, AFTER))
    wanted = {"front", "front-before"}
    for number in BEFORE:
        wanted |= {f"{kind}-{number}" for kind in ("before", "move", "trial")}
        wanted |= {f"interval-{number}-{axis}" for axis in "xy"}
    assert wanted <= ids(page)
    shown = " | ".join("".join(element.itertext()) for element in page.iter(f"{SVG}text"))
    for words in ("the search's front", "the search's value", "Study s1, confirmed", "the caption"):
        assert words in shown


def test_means_of_two_seeds_are_drawn_without_intervals(tmp_path: Path) -> None:
    found = ids(drawn(tmp_path / "c.svg", confirmed(BEFORE, AFTER, seeds=2)))
    assert {f"trial-{number}" for number in BEFORE} <= found
    assert not [gid for gid in found if gid.startswith("interval")]


def test_a_move_leads_from_the_value_to_the_mean_in_the_middle_of_its_intervals(
    tmp_path: Path,
) -> None:
    page = drawn(tmp_path / "c.svg", confirmed(BEFORE, AFTER))
    for number in BEFORE:
        start, end = marker(page, f"before-{number}"), marker(page, f"trial-{number}")
        (at, to) = line(page, f"move-{number}")
        assert at == pytest.approx(start, abs=1e-3)
        assert to == pytest.approx(end, abs=1e-3)
        (left, right) = line(page, f"interval-{number}-x")
        (low, high) = line(page, f"interval-{number}-y")
        assert (left[0] + right[0]) / 2 == pytest.approx(end[0], abs=1e-3)
        assert (low[1] + high[1]) / 2 == pytest.approx(end[1], abs=1e-3)
        assert left[1] == right[1] == pytest.approx(end[1], abs=1e-3)
    # Scale: one point of accuracy is as long everywhere.
    a, b = marker(page, "before-2")[0], marker(page, "before-4")[0]
    (left, right) = line(page, "interval-3-x")
    assert right[0] - left[0] == pytest.approx(a - b, abs=1e-2)


def test_the_searchs_front_runs_through_its_members_alone(tmp_path: Path) -> None:
    page = drawn(tmp_path / "c.svg", confirmed(BEFORE, AFTER))
    corners = line(page, "front-before")
    for number, member in ((2, True), (3, True), (4, True), (0, False)):
        at = marker(page, f"before-{number}")
        near = any(abs(x - at[0]) + abs(y - at[1]) < 1e-2 for x, y in corners)
        assert near is member


def test_wide_intervals_have_room(tmp_path: Path) -> None:
    page = drawn(tmp_path / "c.svg", confirmed(BEFORE, AFTER, width=30.0))
    ends = [line(page, f"interval-{number}-x") for number in BEFORE]
    width = float(page.get("width", "").removesuffix("pt"))
    assert all(0 < x < width for pair in ends for x, _ in pair)
    # Clipping would make them equal.
    assert len({round(pair[0][0], 2) for pair in ends}) == 4


def test_a_trial_that_is_not_confirmed_is_shown_where_it_was(tmp_path: Path) -> None:
    known = {number: values for number, values in AFTER.items() if number != 4}
    found = ids(drawn(tmp_path / "c.svg", confirmed(BEFORE, known)))
    assert "before-4" in found
    assert not {"move-4", "interval-4-x", "trial-4"} & found


def test_three_objectives_give_a_panel_for_each_pair(tmp_path: Path) -> None:
    before = {number: (*pair, 5.0) for number, pair in BEFORE.items()}
    after = {number: (*pair, 5.0 + number) for number, pair in AFTER.items()}
    found = ids(drawn(tmp_path / "c.svg", confirmed(before, after, "srs@10")))
    for pair in ("accuracy-srs_30", "accuracy-srs_10", "srs_30-srs_10"):
        assert {f"before-2-{pair}", f"move-2-{pair}"} <= found
    assert "interval-2-x-accuracy-srs_10" in found
    assert "interval-2-y-accuracy-srs_10" not in found
    assert not {"front", "front-before"} & found


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.png or \.svg"):
        drawn(tmp_path / "c.pdf", confirmed(BEFORE, AFTER))
