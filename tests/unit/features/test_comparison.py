"""Studies with one measure: by hand, against brute force, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from brute_pareto import brute_fronts, grid_hypervolume
from html_page import ReadPage
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_study import complete_trial, study_spec

from safr_study.errors import BadInput
from safr_study.features.compare import (
    StudyComparison,
    StudyView,
    compare_studies,
    comparison_json,
    comparison_page,
    comparison_table,
)
from safr_study.features.report.page import study_page
from safr_study.features.report.report import StudyReport
from safr_study.pareto import rank_study

CORNER = (50.0, 0.0)
A = {0: (70.0, 5.0), 1: (65.0, 10.0), 2: (60.0, 4.0)}
B = {0: (68.0, 8.0), 1: (64.0, 9.0)}


def view(
    name: str,
    values: Mapping[int, Sequence[float]],
    *,
    corner: tuple[float, float] = CORNER,
    fingerprint: str = "f",
    dataset: str = "planted",
    objectives: tuple[str, ...] = ("accuracy", "srs@30"),
    **changes: object,
) -> StudyView:
    trials = [complete_trial(number, *found) for number, found in values.items()]
    spec = study_spec(name, dataset, **changes)
    result = rank_study(name, dataset, objectives, corner, trials, asked=len(trials))
    return StudyView(result, spec, fingerprint)


def compared(**changes: object) -> StudyComparison:
    return compare_studies([view("a", A), view("b", B, **changes)])  # type: ignore[arg-type]


def test_two_studies_by_hand() -> None:
    found = compared()
    a, b = found.studies
    # a: (70, 5) and (65, 10); b: (68, 8), and (64, 9), which a's (65, 10) dominates.
    assert (a.result.hypervolume, b.result.hypervolume) == (20 * 5 + 15 * 5, 18 * 8 + 14)
    assert found.hypervolume == 20 * 5 + 18 * 3 + 15 * 2
    assert (a.joint, b.joint) == ((0, 1), (0,))
    assert a.exclusive == found.hypervolume - (18 * 8 + 14)
    assert b.exclusive == found.hypervolume - (20 * 5 + 15 * 5)
    assert found.reference_point == CORNER
    assert "stored with each" in found.reference_said
    assert (found.differences, found.warnings) == ({}, ())
    assert any("settings are the same" in sentence for sentence in comparison_page(found).notes)
    assert [point.hypervolume for point in a.history] == [100.0, 175.0, 175.0]


points = st.lists(
    st.tuples(st.integers(45, 80).map(float), st.integers(-3, 20).map(float)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(st.lists(points, min_size=2, max_size=3))
def test_hypervolumes_and_the_joint_front_are_those_of_brute_force(
    studies: list[list[tuple[float, float]]],
) -> None:
    names = "abc"
    found = compare_studies(
        [view(names[i], dict(enumerate(values))) for i, values in enumerate(studies)]
    )
    everything = [point for values in studies for point in values]
    assert found.hypervolume == pytest.approx(grid_hypervolume(everything, CORNER))
    fronts = iter(brute_fronts(everything))
    for place, (one, values) in enumerate(zip(found.studies, studies, strict=True)):
        assert one.result.hypervolume == pytest.approx(grid_hypervolume(values, CORNER))
        members = {number for number in range(len(values)) if next(fronts) == 0}
        assert set(one.joint) == members
        others = [p for at, more in enumerate(studies) if at != place for p in more]
        lost = found.hypervolume - grid_hypervolume(others, CORNER)
        assert one.exclusive == pytest.approx(lost)


def test_different_reference_points_give_way_to_the_worst_of_each_objective() -> None:
    found = compare_studies([view("a", A), view("b", B, corner=(52.0, -1.0))])
    assert found.reference_point == (50.0, -1.0)
    assert "worst" in found.reference_said
    assert found.studies[0].result.hypervolume == 20 * 6 + 15 * 5
    assert found.studies[1].result.hypervolume == 18 * 9 + 14


def test_a_minimised_objective_has_its_worst_at_the_top() -> None:
    names = ("accuracy", "sufficiency@30")
    values = {0: (70.0, 20.0)}
    views = [view("a", values, corner=(50.0, 90.0), objectives=names),
             view("b", {0: (70.0, 10.0)}, corner=(50.0, 100.0), objectives=names)]  # fmt: skip
    found = compare_studies(views)
    assert found.reference_point == (50.0, 100.0)
    assert [one.result.hypervolume for one in found.studies] == [20 * 80, 20 * 90]
    assert [one.joint for one in found.studies] == [(), (0,)]


def test_what_differs_between_the_settings_is_named_with_both_values() -> None:
    found = compared(sampler="random", train={"shape": {"heads": 4}})
    shown = found.differences
    assert shown == {"sampler": ("tpe", "random"), "train.shape.heads": ("8", "4")}


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"dataset": "sst2"}, "other data sets (planted, sst2)"),
        ({"fingerprint": "g"}, "other texts of planted"),
    ],
)
def test_studies_of_other_data_are_refused_unless_told_otherwise(
    other: dict[str, str], sentence: str
) -> None:
    views = [view("a", A), view("b", B, **other)]  # type: ignore[arg-type]
    with pytest.raises(BadInput) as refused:
        compare_studies(views)
    assert sentence in str(refused.value)
    assert "--anyway" in str(refused.value)
    found = compare_studies(views, anyway=True)
    assert sentence in found.warnings[0]
    assert any(sentence in line for line in comparison_page(found).notes)


@pytest.mark.parametrize("anyway", [False, True])
def test_other_objectives_are_refused_always(anyway: bool) -> None:
    other = view("b", B, objectives=("accuracy", "contrast@30"))
    with pytest.raises(BadInput, match=r"'b' has the objectives accuracy, contrast@30"):
        compare_studies([view("a", A), other], anyway=anyway)


@pytest.mark.parametrize(
    ("views", "sentence"),
    [([view("a", A)], "two studies or more"), ([view("a", A)] * 2, "'a' is given twice")],
)
def test_a_comparison_needs_two_different_studies(views: list[StudyView], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        compare_studies(views)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"train": {"preset": "reference"}}, "presets (masked, reference)"),
        ({"evaluation": {"mode": "unk"}}, "ways of measuring"),
        ({"seeds_per_trial": 3}, "number of seeds per trial"),
    ],
)
def test_what_makes_equal_names_mean_other_numbers_is_said(
    changes: dict[str, object], word: str
) -> None:
    (sentence,) = compared(**changes).warnings
    assert word in sentence


def test_of_explanations_naopc_alone_is_compared_across_kinds_of_models() -> None:
    encoder = {"dataset": "planted", "train_limit": 40, "encoder": "some-encoder"}
    (sentence,) = compared(corpus=encoder).warnings
    assert "kinds (from scratch, some-encoder)" in sentence
    assert sentence.endswith("worst and best; not so SRS(30).")
    by_naopc = [
        view("a", A, objectives=("accuracy", "naopc")),
        view("b", B, objectives=("accuracy", "naopc"), corpus=encoder),
    ]
    (sentence,) = compare_studies(by_naopc).warnings
    assert "NAOPC alone" in sentence
    assert "not so" not in sentence


def test_the_tables_the_document_and_the_file_say_the_same(tmp_path: Path) -> None:
    found = compared()
    studies, joint = comparison_page(found).tables
    assert studies.rows[0] == ("a", "3", "6", "2", "2", "175.0", "95.1 %", "26.0")
    assert [row[:2] + row[3:5] for row in joint.rows] == [
        ("a", "0", "70.00", "5.00"),
        ("b", "0", "68.00", "8.00"),
        ("a", "1", "65.00", "10.00"),
    ]
    document = comparison_json(found)
    assert document["studies"][0]["share"] == pytest.approx(175 / 184)
    assert [one["joint"] for one in document["studies"]] == [[0, 1], [0]]
    comparison_table(found).to_csv(tmp_path / "c.csv", index=False)
    table = pd.read_csv(tmp_path / "c.csv")
    assert table[["study", "trial", "on_joint_front", "accuracy"]].to_numpy().tolist() == [
        ["a", 0, True, 70.0],
        ["a", 1, True, 65.0],
        ["a", 2, False, 60.0],
        ["b", 0, True, 68.0],
        ["b", 1, False, 64.0],
    ]


def reported(comparison: StudyComparison | None) -> ReadPage:
    """The first study's report with the comparison."""
    result = compared().studies[0].result
    report = StudyReport(
        result=result,
        spec=study_spec(),
        history=(),
        importance=(),
        provenance={},
        command="",
        report_command="",
        written="",
        safr_study="",
        comparison=comparison,
    )
    return ReadPage(study_page(report))


def test_the_report_marks_every_front_and_nothing_without_others() -> None:
    alone = reported(None)
    assert not {"fronts", "history"} & set(alone.charts)
    assert "h-comparison" not in {found.get("id") for _, found in alone.tags}
    hostile = "b</title><b>"
    found = compared()
    renamed = replace(
        found,
        studies=(found.studies[0], replace(
            found.studies[1], result=replace(found.studies[1].result, name=hostile)
        )),
    )  # fmt: skip
    page = reported(renamed)
    assert page.charts[1:4] == ["fronts", "history", "history"]
    sentences = [said for _, said in page.marks["fronts"]]
    assert len(sentences) == 4
    assert sum("dominated by another study" in said for said in sentences) == 1
    assert not [tag for tag, found in page.tags if tag == "b"]
    assert hostile in page.text


def test_a_study_without_a_ranked_trial_is_compared_as_nothing() -> None:
    found = compare_studies([view("a", A), view("b", {})])
    a, b = found.studies
    assert (b.result.hypervolume, b.joint, b.exclusive, b.history) == (0.0, (), 0.0, ())
    assert a.exclusive == found.hypervolume == a.result.hypervolume
    page = reported(found)
    assert len(page.marks["fronts"]) == 2
    nothing = compare_studies([view("a", {}), view("b", {})])
    assert comparison_json(nothing)["studies"][0]["share"] is None
    assert not {"fronts", "history"} & set(reported(nothing).charts)
