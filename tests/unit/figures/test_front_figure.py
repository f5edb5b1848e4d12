from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Annotation
from plain_scores import plain_scores

from safr_study.errors import BadInput
from safr_study.figures.front import front_figure
from safr_study.pareto import rank_study
from safr_study.records import StudyResult, TrialRecord, TrialState

SVG = "{http://www.w3.org/2000/svg}"
BASELINES = {0: "no-vmask", 1: "vmask-only"}


def trial(number: int, values: tuple[float, ...], *, saturated: bool = False) -> TrialRecord:
    scores = plain_scores(saturated=saturated)
    return TrialRecord(
        number=number,
        state=TrialState.COMPLETE,
        parameters={"lambda_imp": 0.01 * number, "lambda_inter": 0.05},
        seed=0,
        baseline=BASELINES.get(number),
        values=values,
        scores=scores,
    )


def study(trials: list[TrialRecord], *others: str) -> StudyResult:
    objectives = ["accuracy", "srs@30", *others]
    reference = [50.0, *[0.0] * (len(objectives) - 1)]
    return rank_study("s1", "sst2", objectives, reference, trials, asked=24)


def realistic(objectives: int = 2) -> list[TrialRecord]:
    """24 trials: two baselines, two saturated ones far out, the others along a noisy front."""
    rng = np.random.default_rng(4)
    trials = []
    for number in range(24):
        strength = rng.uniform()
        accuracy = 82 - 6 * strength**2 + rng.normal(0, 0.9)
        srs = 7 + 10 * strength + rng.normal(0, 1.4)
        if number in BASELINES:
            accuracy, srs = 81.4 + 0.3 * number, 6.3 + 0.8 * number
        saturated = number in (7, 19)
        if saturated:
            accuracy, srs = 63 + number / 10, 26 + number / 10
        values = (accuracy, srs, 0.6 * srs + rng.normal(), rng.normal(0, 3))[:objectives]
        trials.append(trial(number, values, saturated=saturated))
    return trials


def drawn(result: StudyResult, path: Path) -> ET.Element:
    front_figure(result, path)
    return ET.fromstring(path.read_text(encoding="utf-8"))


def ids(page: ET.Element) -> list[str]:
    pattern = re.compile(
        r"^(front|caption|(knee|compromise|saturated)(-.+)?|(baseline|trial|label)-.+)$"
    )
    return [gid for element in page.iter() if pattern.match(gid := element.get("id", ""))]


def texts(page: ET.Element) -> list[str]:
    return ["".join(element.itertext()).strip() for element in page.iter(f"{SVG}text")]


def marker(page: ET.Element, gid: str) -> tuple[float, float]:
    """Page coordinates, y downwards."""
    [use] = page.findall(f".//*[@id='{gid}']//{SVG}use")
    return float(use.get("x")), float(use.get("y"))


def polyline(page: ET.Element, gid: str) -> list[tuple[float, float]]:
    path = page.find(f".//*[@id='{gid}']/{SVG}path").get("d")
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_axes_name_their_objective_split_and_unit(tmp_path: Path) -> None:
    shown = texts(drawn(study(realistic()), tmp_path / "front.svg"))
    assert "accuracy on dev (percentage points)" in shown
    assert "SRS(30) on dev (percentage points)" in shown
    assert "Study s1 on sst2" in shown


def test_every_trial_baseline_knee_and_front_is_marked_once(tmp_path: Path) -> None:
    result = study(realistic())
    found = ids(drawn(result, tmp_path / "front.svg"))
    marks = [gid for gid in found if not gid.startswith("label-")]
    assert sorted(marks) == sorted(
        [f"trial-{number}" for number in range(24)]
        + ["front", "knee", "saturated", "caption", "baseline-no-vmask", "baseline-vmask-only"]
    )
    assert len(set(found)) == len(found)


def test_knee_and_baselines_lie_on_their_trials_and_are_named(tmp_path: Path) -> None:
    result = study(realistic())
    page = drawn(result, tmp_path / "front.svg")
    [knee] = [ranked.trial for ranked in result.ranked if ranked.knee]
    assert marker(page, "knee") == marker(page, f"trial-{knee.number}")
    assert marker(page, "baseline-no-vmask") == marker(page, "trial-0")
    assert marker(page, "baseline-vmask-only") == marker(page, "trial-1")
    shown = " | ".join(texts(page))
    assert f"knee #{knee.number}" in shown
    assert knee.label in shown
    for name in ("| no-vmask |", "| vmask-only |", "baseline no-vmask", "baseline vmask-only"):
        assert name in shown
    assert "saturated: one class" in shown


def test_caption_gives_hypervolume_and_reference_point(tmp_path: Path) -> None:
    result = study(realistic())
    page = drawn(result, tmp_path / "front.svg")
    caption = " ".join("".join(page.find(".//*[@id='caption']").itertext()).split())
    assert f"hypervolume {result.hypervolume:.5g}" in caption
    assert "(accuracy 50 %, SRS(30) 0)" in caption
    assert f"24 complete trials, {len(result.front)} on the front" in caption


def test_the_front_is_a_staircase_through_its_members_above_all_others(tmp_path: Path) -> None:
    result = study(realistic())
    page = drawn(result, tmp_path / "front.svg")
    corners = polyline(page, "front")
    members = sorted(marker(page, f"trial-{ranked.trial.number}") for ranked in result.front)
    expected = [
        corner for (x, y), (_, below) in pairwise(members) for corner in ((x, y), (x, below))
    ]
    np.testing.assert_allclose(corners[1:-2], expected, atol=1e-3)
    np.testing.assert_allclose(corners[-2], members[-1], atol=1e-3)
    for ranked in result.ranked:
        x, y = marker(page, f"trial-{ranked.trial.number}")
        # The line's height at x is that of the first member to the right.
        height = next(at for right, at in members if right >= x - 1e-3)
        assert y >= height - 1e-3


def test_saturated_trials_are_hollow_and_crossed(tmp_path: Path) -> None:
    page = drawn(study(realistic()), tmp_path / "front.svg")
    crosses = page.findall(f".//*[@id='saturated']//{SVG}use")
    found = {(float(use.get("x")), float(use.get("y"))) for use in crosses}
    assert found == {marker(page, "trial-7"), marker(page, "trial-19")}
    [hollow] = page.findall(f".//*[@id='trial-7']//{SVG}use")
    [filled] = page.findall(f".//*[@id='trial-2']//{SVG}use")
    assert "fill: #ffffff" in hollow.get("style")
    assert "fill: #ffffff" not in filled.get("style")


def test_labels_cover_neither_each_other_nor_a_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda page, *_, **__: pages.append(page))
    result = study(realistic())
    front_figure(result, tmp_path / "front.png")
    [axes] = pages[0].axes
    notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
    boxes = [mpl.text.Text.get_window_extent(note) for note in notes]
    assert len(notes) >= len(result.front)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    centres = axes.transData.transform([ranked.trial.values for ranked in result.ranked])
    assert not any(box.contains(*centre) for box in boxes for centre in centres)
    assert all(axes.bbox.contains(*corner) for box in boxes for corner in box.corners())


def test_three_objectives_give_a_panel_for_each_pair(tmp_path: Path) -> None:
    result = study(realistic(3), "srs_excess@10")
    page = drawn(result, tmp_path / "front.svg")
    found = ids(page)
    for pair in ("accuracy-srs_30", "accuracy-srs_excess_10", "srs_30-srs_excess_10"):
        assert f"knee-{pair}" in found
        assert f"baseline-no-vmask-{pair}" in found
        assert sum(f.startswith("trial-") and f.endswith(f"-{pair}") for f in found) == 24
    assert "front" not in found
    assert len(set(found)) == len(found)
    assert texts(page).count("SRS excess(10) on dev (percentage points)") == 2


def test_four_objectives_leave_no_empty_panel(tmp_path: Path) -> None:
    result = study(realistic(4), "srs_excess@10", "srs@50")
    found = ids(drawn(result, tmp_path / "front.svg"))
    assert sum(gid.startswith("compromise-") for gid in found) == 6


@pytest.mark.parametrize(
    ("trials", "front", "compromise", "saturated"),
    [
        pytest.param([], 0, 0, 0, id="no trial"),
        pytest.param([trial(3, (81.0, 5.0))], 1, 1, 0, id="one trial"),
        pytest.param([trial(n, (80.0, 5.0)) for n in range(7)], 1, 1, 0, id="identical"),
        pytest.param(
            [trial(n, (80.0 - n, 5.0 + n), saturated=True) for n in range(4)],
            1,
            0,
            1,
            id="all saturated",
        ),
    ],
)
def test_degenerate_studies_are_drawn(trials, front, compromise, saturated, tmp_path: Path) -> None:
    page = drawn(study(trials), tmp_path / "front.svg")
    found = ids(page)
    counts = [found.count(gid) for gid in ("front", "knee", "compromise", "saturated")]
    assert counts == [front, 0, compromise, saturated]
    assert sum(gid.startswith("trial-") for gid in found) == len(trials)
    assert ("no complete trial yet" in texts(page)) is (not trials)


def test_identical_trials_share_one_label(tmp_path: Path) -> None:
    page = drawn(study([trial(n, (80.0, 5.0)) for n in range(7)]), tmp_path / "front.svg")
    assert "compromise #0 #1 #2 #3 +3" in texts(page)


def test_equal_studies_give_equal_files_and_leave_the_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for suffix in ("svg", "png"):
        first, second = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
        front_figure(study(realistic()), first)
        front_figure(study(realistic()), second)
        assert first.read_bytes() == second.read_bytes()
    assert dict(mpl.rcParams) == before


def test_png_is_sharp_enough_to_read(tmp_path: Path) -> None:
    front_figure(study(realistic()), tmp_path / "front.PNG")
    height, width, _ = imread(tmp_path / "front.PNG", format="png").shape
    assert width >= 7 * 150
    assert height >= 4.5 * 150


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.png or \.svg"):
        front_figure(study(realistic()), tmp_path / "front.pdf")
    assert not any(tmp_path.iterdir())


# Minimised objectives: better is to the right and upwards on every page.

SUFFICIENCY = "sufficiency(30) on dev (percentage points, lower is better)"


def turned(objectives: list[str], reference: list[float], *signs: int) -> StudyResult:
    """The realistic study, its objectives measured the other way round where the sign is -1."""
    trials = [
        trial(
            record.number,
            tuple(sign * value for sign, value in zip(signs, record.values or (), strict=True)),
            saturated=record.saturated,
        )
        for record in realistic(len(signs))
    ]
    return rank_study("s1", "sst2", objectives, reference, trials, asked=24)


def places(page: ET.Element, suffix: str = "") -> np.ndarray:
    """Of the trials in their panel `[24, 2]`, in [0, 1], y upwards, free of the layout."""
    found = np.array([marker(page, f"trial-{number}{suffix}") for number in range(24)])
    found[:, 1] *= -1
    low, high = found.min(axis=0), found.max(axis=0)
    return (found - low) / (high - low)


@pytest.mark.parametrize(
    ("objectives", "reference", "signs"),
    [
        pytest.param(["accuracy", "sufficiency@30"], [50.0, 100.0], (1, -1), id="y"),
        pytest.param(["sufficiency@30", "accuracy"], [100.0, 0.0], (-1, 1), id="x"),
        pytest.param(["sufficiency@30", "sufficiency@10"], [100.0, 100.0], (-1, -1), id="both"),
    ],
)
def test_a_minimised_axis_is_inverted(objectives, reference, signs, tmp_path: Path) -> None:
    result = turned(objectives, reference, *signs)
    page = drawn(result, tmp_path / "front.svg")
    plain = drawn(study(realistic()), tmp_path / "plain.svg")
    np.testing.assert_allclose(places(page), places(plain), atol=1e-4)
    assert [row.trial.number for row in result.front] == [
        row.trial.number for row in study(realistic()).front
    ]
    assert SUFFICIENCY in texts(page)
    assert not any("lower is better" in text for text in texts(plain))
    # Better is to the right and upwards, whatever the numbers on the axes do.
    for column, sign in enumerate(signs):
        values = [record.trial.values[column] * sign for record in result.ranked]
        order = np.argsort(values)
        numbers = np.array([record.trial.number for record in result.ranked])[order]
        assert (np.diff(places(page)[numbers, column]) >= 0).all()


def test_the_front_line_of_a_minimised_objective_leaves_nothing_above_it(tmp_path: Path) -> None:
    result = turned(["accuracy", "sufficiency@30"], [50.0, 100.0], 1, -1)
    page = drawn(result, tmp_path / "front.svg")
    corners = polyline(page, "front")
    members = sorted(marker(page, f"trial-{ranked.trial.number}") for ranked in result.front)
    expected = [
        corner for (x, y), (_, below) in pairwise(members) for corner in ((x, y), (x, below))
    ]
    np.testing.assert_allclose(corners[1:-2], expected, atol=1e-3)
    left, bottom = corners[0][0], corners[-1][1]
    for ranked in result.ranked:
        x, y = marker(page, f"trial-{ranked.trial.number}")
        assert left < x, "the line begins at the left edge"
        assert y < bottom, "and ends at the bottom"
        assert y >= next(at for right, at in members if right >= x - 1e-3) - 1e-3
    assert marker(page, "knee") in members
    caption = " ".join("".join(page.find(".//*[@id='caption']").itertext()).split())
    assert "(accuracy 50 %, sufficiency(30) 100)" in caption


def test_among_three_objectives_the_minimised_one_is_inverted_in_each_panel(
    tmp_path: Path,
) -> None:
    names = ["accuracy", "srs@30", "interference_energy.ffn1_pre"]
    result = turned(names, [50.0, 0.0, 1.0], 1, 1, -1)
    page = drawn(result, tmp_path / "front.svg")
    plain = drawn(study(realistic(3), "srs_excess@10"), tmp_path / "plain.svg")
    for pair, of_plain in (
        ("accuracy-srs_30", "accuracy-srs_30"),
        ("accuracy-interference_energy.ffn1_pre", "accuracy-srs_excess_10"),
        ("srs_30-interference_energy.ffn1_pre", "srs_30-srs_excess_10"),
    ):
        found = places(page, f"-{pair}")
        np.testing.assert_allclose(found, places(plain, f"-{of_plain}"), atol=1e-4)
    label = "interference energy (ffn1_pre) on dev (lower is better)"
    assert texts(page).count(label) == 2
