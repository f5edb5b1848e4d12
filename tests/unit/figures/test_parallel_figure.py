from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.image import imread
from synthetic_study import complete_trial, ranked_study, study_spec

from safr_study.errors import BadInput
from safr_study.figures.parameters import parallel_figure

SVG = "{http://www.w3.org/2000/svg}"
LAMBDAS = {0: None, 1: 0.0, 2: 0.001, 3: 0.1, 4: 10.0}


def _heights(page: ET.Element, gid: str) -> list[float]:
    path = page.find(f".//*[@id='{gid}']/{SVG}path")
    assert path is not None
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
    return [-height for height in numbers[1::2]]


def test_lines_rise_with_their_values_and_zero_and_none_have_places_of_their_own(
    tmp_path: Path,
) -> None:
    trials = [
        replace(
            complete_trial(number, 80.0 + number, 30.0 - number),
            parameters={"vmask": value is not None, "lambda_imp": value},
        )
        for number, value in LAMBDAS.items()
    ]
    result = ranked_study(study_spec(), [trials[3:], trials[:3]], knee=3)
    parallel_figure(result, tmp_path / "parallel.svg")
    page = ET.parse(tmp_path / "parallel.svg").getroot()
    lines = [_heights(page, f"line-{number}") for number in LAMBDAS]
    assert {len(line) for line in lines} == {4}
    lambdas = [line[1] for line in lines]
    assert lambdas == sorted(lambdas)
    assert len(set(lambdas)) == 5
    # By the logarithm: 0.1 is half-way from 0.001 to 10.
    assert lambdas[3] == pytest.approx((lambdas[2] + lambdas[4]) / 2, abs=0.01)
    assert [line[2] for line in lines] == sorted(line[2] for line in lines)
    assert [line[3] for line in lines] == sorted((line[3] for line in lines), reverse=True)
    axis = _heights(page, "axis-lambda_imp")
    # Both below what is drawn of the numbers; what a trial has not is under the axis.
    assert lambdas[0] < min(axis) == pytest.approx(lambdas[1], abs=0.01)
    words = {text.text for text in page.iter(f"{SVG}text")}
    assert {"lambda_imp", "SRS(30)", "none", "0", "0.001", "10"} <= words


def test_a_png_is_drawn_also_without_trials_and_other_names_are_refused(tmp_path: Path) -> None:
    empty = ranked_study(study_spec(), [])
    parallel_figure(empty, tmp_path / "none.png")
    assert imread(tmp_path / "none.png").shape[0] > 300
    with pytest.raises(BadInput, match=r"\.png or \.svg"):
        parallel_figure(empty, tmp_path / "none.pdf")
