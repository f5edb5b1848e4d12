from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.bench import write_page
from benchmarks.driver_load import Load, Spent, run_load
from benchmarks.measured import Measured, keep, markdown, newest
from benchmarks.training_lines import lines_of
from benchmarks.training_speed import Line


def test_a_target_is_met_on_its_own_side() -> None:
    def met(value: float, target: float | None, bound: str) -> bool | None:
        return Measured("x", value, "ratio", target, bound).met  # type: ignore[arg-type]

    assert [met(v, 1.5, "at most") for v in (1.4, 1.5, 1.6)] == [True, True, False]
    assert [met(v, 1.8, "at least") for v in (1.7, 1.8, 1.9)] == [False, True, True]
    assert met(3.0, None, "at most") is None


def test_lines_are_kept_as_they_were_measured(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    lines = [Measured("a", 1.23456789, "s", 2.0), Measured("b", 3.0, "MB", facts={"n": 1})]
    keep(lines[:1], file=file)
    keep(lines[1:], file=file)
    kept = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [(one["name"], one["value"], one["met"]) for one in kept] == [
        ("a", 1.23456789, True),
        ("b", 3.0, None),
    ]
    assert kept[0]["machine"]["cores"] >= 1
    table = markdown(lines).splitlines()
    assert table[2] == "| a | 1.23 s | at most 2 s | yes |"
    assert table[3] == "| b | 3 MB |  |  |"


def test_the_page_has_the_newest_line_of_each_measurement_by_machine(tmp_path: Path) -> None:
    file = tmp_path / "bench.jsonl"
    keep([Measured("a", 1.0, "s", 2.0), Measured("b", 3.0, "MB")], file=file)
    other = json.loads(file.read_text("utf-8").splitlines()[0])
    other["machine"]["cpu"], other["value"] = "another", 9.0
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(other) + "\n")
    keep([Measured("a", 4.0, "s", 2.0)], file=file)
    here, there = newest(file).values()
    assert [(line.name, line.value, line.met) for line in here] == [
        ("a", 4.0, False),
        ("b", 3.0, None),
    ]
    assert [(line.name, line.value) for line in there] == [("a", 9.0)]
    write_page(tmp_path)
    page = (tmp_path / "bench.md").read_text("utf-8")
    assert page.index("another, ") < page.index("| a | 4 s | at most 2 s | no |")


def test_the_lines_of_training_have_their_targets() -> None:
    line = Line(
        dataset="sst2-treebank",
        gemm_gflops=200.4,
        nominal_gflop=4.0,
        seconds=0.03,
        fraction=0.61,
        straightforward_seconds=0.3,
        ratio=6.9,
        optimiser_share=0.05,
        kinds={},
        curve_epochs=1.1,
        objective_epochs=0.08,
        causes_epochs=1.4,
    )
    more = dataclasses.replace(line, dataset="imdb", curve_epochs=None, causes_epochs=None)
    found = lines_of([line, more])
    assert [(one.value, one.met) for one in found] == [
        (0.61, True), (6.9, False), (0.05, True), (1.1, False), (0.08, True),
        (1.4, True),
        (0.61, True), (6.9, True), (0.05, True), (0.08, True),
    ]  # fmt: skip
    assert len({one.name for one in found}) == len(found)
    assert found[0].facts == {"gemm_gflops": 200, "step_ms": 30.0}


def test_growth_compares_medians() -> None:
    spent = tuple(Spent(cpu=float(n < 4) + 2.0 * (n >= 4), wall=1.0) for n in range(8))
    load = Load(spent, deepest=0, states={}, closing=0.0)
    assert load.growth(slice(0, 4), slice(4, 8)) == pytest.approx(2.0)
    assert load.growth(slice(0, 4), slice(4, 8), wall=True) == pytest.approx(1.0)


def test_a_study_of_made_up_trainings_runs_to_its_end(tmp_path: Path) -> None:
    load = run_load(14, 5, tmp_path, track=True)
    assert sum(load.states.values()) == len(load.spent) == 14
    assert all(one.cpu > 0 and one.wall > 0 for one in load.spent)
    assert load.deepest >= 1
