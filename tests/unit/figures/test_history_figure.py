from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.image import imread

from safr_study.errors import BadInput
from safr_study.figures.history import history_figure
from safr_study.pareto import rank_study
from safr_study.records.study import HistoryPoint

SVG = "{http://www.w3.org/2000/svg}"
RESULT = rank_study("s1", "sst2", ["accuracy", "srs@30"], (50.08, 0.0), [], asked=4)
HISTORY = (
    HistoryPoint(trial=1, ended=1.0, trials=1, epochs=8, hypervolume=100.0),
    HistoryPoint(trial=0, ended=2.0, trials=2, epochs=10, hypervolume=100.0),
    HistoryPoint(trial=3, ended=None, trials=3, epochs=20, hypervolume=250.0),
)


def corners(page: ET.Element, gid: str) -> list[tuple[float, float]]:
    path = page.find(f".//*[@id='{gid}']/{SVG}path")
    assert path is not None
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@pytest.mark.parametrize(
    ("gid", "places"), [("history-trials", (0, 1, 2, 3)), ("history-epochs", (0, 8, 10, 20))]
)
def test_a_step_line_stays_until_a_trial_ends(
    tmp_path: Path, gid: str, places: tuple[int, ...]
) -> None:
    history_figure(RESULT, HISTORY, tmp_path / "history.svg")
    drawn = corners(ET.parse(tmp_path / "history.svg").getroot(), gid)
    heights = (0.0, 100.0, 100.0, 250.0)
    expected = [(places[0], heights[0])]
    for place, before, after in zip(places[1:], heights, heights[1:], strict=False):
        expected += [(place, before), (place, after)]
    # A page's y grows downwards; both are linear in the data.
    (x0, y0), (x1, y1) = drawn[0], drawn[-1]
    right, up = (x1 - x0) / places[-1], (y1 - y0) / heights[-1]
    assert up < 0 < right
    found = {((x - x0) / right, (y - y0) / up) for x, y in drawn}
    for place, height in expected:
        assert any(abs(x - place) < 0.01 and abs(y - height) < 0.1 for x, y in found), (
            place,
            height,
        )


def test_the_reference_point_and_the_axes_are_named(tmp_path: Path) -> None:
    history_figure(RESULT, HISTORY, tmp_path / "history.svg")
    page = ET.parse(tmp_path / "history.svg").getroot()
    shown = ["".join(text.itertext()).strip() for text in page.iter(f"{SVG}text")]
    assert "reference point (accuracy 50.08 %, SRS(30) 0)" in " ".join(shown)
    assert {"hypervolume", "trials ended"} <= set(shown)
    assert any("Study s1 on sst2" in text for text in shown)
    assert any("epochs of training" in text for text in shown)


def test_equal_histories_give_equal_files_in_both_formats(tmp_path: Path) -> None:
    for kind in ("png", "svg"):
        for name in ("a", "b"):
            history_figure(RESULT, HISTORY, tmp_path / f"{name}.{kind}")
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    picture = imread(tmp_path / "a.png")
    assert picture.shape[0] > 400
    assert picture.std() > 0.01


def test_no_trial_yet_is_said(tmp_path: Path) -> None:
    history_figure(RESULT, (), tmp_path / "history.svg")
    text = (tmp_path / "history.svg").read_text("utf-8")
    assert "no trial has ended yet" in text
    assert "history-trials" not in text


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.png or \.svg"):
        history_figure(RESULT, HISTORY, tmp_path / "history.pdf")
