"""Ours beside the paper's: estimates, verdicts, order, fronts, and every format."""

from __future__ import annotations

import io
import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from plain_scores import deletion_at
from scipy import stats
from synthetic_runs import request_of, run_line, table_lines

from safr_study.features.paper.compare import (
    PaperComparison,
    Reproduction,
    RowOutcome,
    compare_rows,
    reproduce_item,
)
from safr_study.features.paper.curves import (
    accuracy_curves,
    compare_capacities,
    sentiment_difference,
)
from safr_study.features.paper.lines import BASELINE_ROW, VMASK_ROW, Limits, RunLine
from safr_study.features.paper.numbers import reproduction_json, reproduction_table
from safr_study.features.paper.rows import METRICS, PaperRow, paper
from safr_study.features.paper.view import paper_page
from safr_study.render.text_table import TextPage, TextTable, latex_escaped

TABLE1 = paper().named(paper().table1["sst2"])
SAFR = TABLE1[-1]


def values(lines: list[RunLine], entry: PaperRow, metric: str) -> list[float]:
    """A metric of each seed's run, from its scores and not from its bits."""
    found = []
    for line in sorted((line for line in lines if line.row == entry.row), key=lambda x: x.seed):
        deletion = deletion_at(line.test, 0.3)
        found.append(
            {
                "accuracy": line.test.accuracy,
                "accuracy_random_deletion": deletion.accuracy_random,
                "accuracy_capacity_deletion": deletion.accuracy_top,
                "srs": deletion.srs,
            }[metric]
        )
    return found


def notes(result: Reproduction) -> tuple[str, ...]:
    return paper_page(result, wide=True).notes


def outcome_of(comparison: PaperComparison, entry: PaperRow) -> RowOutcome:
    (found,) = [row for row in comparison.rows if row.entry == entry]
    return found


def safr_against_vmask(safr: list[float], vmask: list[float]) -> RowOutcome:
    """SAFR's outcome where the accuracies without the top tokens are given, seed by seed."""
    lines = [run_line(SAFR.row, seed, top=top) for seed, top in enumerate(safr)]
    lines += [run_line(VMASK_ROW, seed, top=top) for seed, top in enumerate(vmask)]
    return outcome_of(compare_rows(TABLE1, lines, "sst2"), SAFR)


@pytest.mark.parametrize("metric", METRICS)
def test_ours_is_the_student_t_interval_over_the_seeds(metric: str) -> None:
    lines = table_lines(TABLE1, 4)
    comparison = compare_rows(TABLE1, lines, "sst2")
    for entry in TABLE1:
        (found,) = [m for m in outcome_of(comparison, entry).metrics if m.metric == metric]
        seen = values(lines, entry, metric)
        low, high = stats.t.interval(0.95, 3, loc=np.mean(seen), scale=stats.sem(seen))
        assert (found.ours.mean, found.ours.low, found.ours.high) == pytest.approx(
            (np.mean(seen), low, high), abs=1e-9
        )
        assert found.ours.method == "student-t"
        assert found.paper == entry.numbers["sst2"][metric]
        assert found.inside is bool(low <= found.paper <= high)


@pytest.mark.parametrize("metric", METRICS)
def test_differences_are_paired_over_seeds(metric: str) -> None:
    lines = table_lines(TABLE1, 4)
    comparison = compare_rows(TABLE1, lines, "sst2")
    (found,) = [m for m in outcome_of(comparison, SAFR).metrics if m.metric == metric]
    safr, base = values(lines, SAFR, metric), values(lines, paper().named(["vmask"])[0], metric)
    interval = stats.ttest_rel(safr, base).confidence_interval()
    assert found.difference is not None
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (interval.low, interval.high), abs=1e-9
    )
    expected = SAFR.numbers["sst2"], paper().named(["vmask"])[0].numbers["sst2"]
    assert found.paper_difference == expected[0][metric] - expected[1][metric]
    assert comparison.noise[metric] == pytest.approx(np.std(base, ddof=1))


def test_only_common_seeds_are_paired() -> None:
    lines = [line for line in table_lines(TABLE1, 4) if line.row != SAFR.row or line.seed != 2]
    found = outcome_of(compare_rows(TABLE1, lines, "sst2"), SAFR)
    vmask = values(lines, paper().named(["vmask"])[0], "srs")
    difference = np.array(values(lines, SAFR, "srs")) - np.array(vmask)[[0, 1, 3]]
    assert found.seeds == (0, 1, 3)
    assert found.srs.difference is not None
    assert found.srs.difference.mean == pytest.approx(difference.mean())
    apart = [line for line in lines if (line.row == SAFR.row) is (line.seed == 3)]
    lonely = outcome_of(compare_rows(TABLE1, apart, "sst2"), SAFR)
    assert lonely.srs.difference is None
    assert lonely.srs.verdict is None
    assert lonely.same_gain is None


def test_one_run_has_its_own_standard_errors() -> None:
    lines = table_lines(TABLE1, 1)
    comparison = compare_rows(TABLE1, lines, "sst2")
    line = next(line for line in lines if line.row == SAFR.row)
    base = next(line for line in lines if line.row == VMASK_ROW)
    found = {m.metric: m for m in outcome_of(comparison, SAFR).metrics}
    z = stats.norm.ppf(0.975)
    assert found["srs"].ours.method == "normal"
    assert found["srs"].ours.high - found["srs"].ours.mean == pytest.approx(
        z * deletion_at(line.test, 0.3).srs_se
    )
    assert found["accuracy"].ours.mean - found["accuracy"].ours.low == pytest.approx(
        z * line.test.to_plain()["accuracy_se"]
    )
    lost = line.right.whole().astype(int) - line.right.without_top(0.3)
    lost_base = base.right.whole().astype(int) - base.right.without_top(0.3)
    width = z * 100 * np.std(lost - lost_base) / np.sqrt(len(lost))
    assert found["srs"].difference is not None
    assert found["srs"].difference.high - found["srs"].difference.mean == pytest.approx(width)
    assert set(comparison.noise.values()) == {None}


def test_ten_seeds_are_bootstrapped() -> None:
    comparison = compare_rows(TABLE1, table_lines(TABLE1, 10, texts=60), "sst2")
    assert {m.ours.method for row in comparison.rows for m in row.metrics} == {"crossed bootstrap"}


@pytest.mark.parametrize(
    ("safr", "vmask", "verdict", "same_gain"),
    [
        # The paper's SRS rises from lambda (0, 0) to SAFR: fewer right without the top tokens.
        ([50, 51, 50.5], [60, 61, 61], "holds", True),
        ([55, 65, 60], [60, 61, 59], "inside the noise", None),
        ([70, 71, 70.5], [60, 61, 61], "does not hold", False),
        ([60, 60, 60], [60, 60, 60], "inside the noise", False),
    ],
)
def test_verdicts(
    safr: list[float], vmask: list[float], verdict: str, same_gain: bool | None
) -> None:
    found = safr_against_vmask(safr, vmask)
    assert found.srs.verdict == verdict
    if same_gain is not None:
        assert found.same_gain is same_gain


def test_a_zero_difference_of_the_paper_never_holds() -> None:
    found = safr_against_vmask([50, 51, 50.5], [60, 61, 61]).srs
    assert replace(found, paper_difference=0.0).verdict == "does not hold"
    assert replace(found, paper_difference=-1.0).verdict == "does not hold"
    assert replace(found, paper_difference=None).verdict is None


def test_the_sign_of_srs() -> None:
    lines = [run_line(BASELINE_ROW, 0, top=75.0), run_line(SAFR.row, 0, top=80.0)]
    comparison = compare_rows(TABLE1, lines, "sst2")
    assert outcome_of(comparison, TABLE1[0]).same_sign  # both below 0
    assert not outcome_of(comparison, SAFR).same_sign
    assert comparison.absent == ("vmask",)
    assert comparison.noise["srs"] is None
    assert outcome_of(comparison, SAFR).srs.difference is None


def test_order_ranks_and_fronts_of_all_the_rows() -> None:
    rows = paper().rows
    lines = table_lines(rows, 3)
    comparison = compare_rows(rows, lines, "sst2")
    ours = [np.mean(values(lines, entry, "srs")) for entry in rows]
    papers = [entry.numbers["sst2"]["srs"] for entry in rows]
    agreeing = sum(
        np.sign(round(ours[i] - ours[j], 9)) == np.sign(papers[i] - papers[j])
        for i, j in itertools.combinations(range(15), 2)
    )
    assert (comparison.order.pairs, comparison.order.agreeing) == (105, agreeing)
    expected = stats.kendalltau(np.round(ours, 9), papers)
    assert comparison.order.tau == pytest.approx(expected.statistic, abs=1e-9)
    assert 0 < comparison.order.p < 0.01
    assert [row.paper_rank for row in comparison.rows] == [
        1 + sum(other > value for other in papers) for value in papers
    ]
    assert [row.rank for row in comparison.rows] == [
        1 + sum(round(other - value, 9) > 0 for other in ours) for value in ours
    ]
    points = [
        (np.mean(values(lines, e, "accuracy")), srs) for e, srs in zip(rows, ours, strict=True)
    ]
    on_front = [
        not any(a >= x and b >= y and (a > x or b > y) for a, b in points) for x, y in points
    ]
    assert [row.on_front for row in comparison.rows] == on_front
    names = {row.entry.name for row in comparison.rows if row.on_paper_front}
    assert names == {"safr(0.01, 0.01)", "safr(0.1, 1)", "safr(0.01, 0)", "safr(1, 0.1)"}
    assert all(0 <= row.front_probability <= 1 for row in comparison.rows)
    assert max(row.front_probability for row in comparison.rows) > 0.9
    assert min(row.front_probability for row in comparison.rows) == 0
    assert sorted(row.entry.name for row in comparison.rows if row.saturated == 3) == [
        "safr(100, 0)",
        "safr(100, 100)",
    ]


def test_two_rows_have_no_tau() -> None:
    order = compare_rows(TABLE1[:2], table_lines(TABLE1[:2], 2), "sst2").order
    assert (order.pairs, order.agreeing, order.tau, order.p) == (1, 1, None, None)


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ValueError, match="no run of these rows"):
        compare_rows(TABLE1[:1], table_lines(TABLE1[1:], 2), "sst2")
    with pytest.raises(ValueError, match="no run to compare"):
        reproduce_item(request_of("table1", 3), [])


def test_the_reading_of_table_3_that_is_nearest_is_named() -> None:
    published = paper().capacities["sst2"]
    lines = [run_line(SAFR.row, seed) for seed in range(3)]
    readings = compare_capacities(lines, published)
    assert [(r.layer, r.pad) for r in readings] == [
        ("pre", "out"),
        ("pre", "in"),
        ("post", "out"),
        ("post", "in"),
    ]
    assert [r.nearest for r in readings] == [True, False, False, False]
    assert readings[0].distance == pytest.approx(0.0, abs=1e-6)
    # 0.7 of every number: 0.3 of their mean is missing.
    assert readings[1].distance == pytest.approx(0.3 * (0.1925 + 0.4141 + 0.0975) / 3, abs=1e-5)
    means = [line.capacities.pre.pad_out.important for line in lines]
    important = readings[0].numbers[1]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(means), scale=stats.sem(means))
    assert (important.interval.low, important.interval.high) == pytest.approx((low, high))
    assert important.inside is True
    assert readings[1].numbers[1].inside is False
    (single, *_) = compare_capacities(lines[:1], published)
    assert (single.numbers[0].interval, single.numbers[0].inside) == (None, None)
    with pytest.raises(ValueError, match="no run with capacities"):
        compare_capacities([run_line(BASELINE_ROW, 0)], published)


def test_sentiment_is_over_seeds_or_over_the_texts_of_one_run() -> None:
    lines = [run_line(SAFR.row, seed) for seed in range(2)]
    assert sentiment_difference(lines).method == "student-t"
    one = sentiment_difference(lines[:1])
    assert (one.mean, one.high) == pytest.approx((0.26, 0.26 + stats.norm.ppf(0.975) * 0.01))
    assert sentiment_difference([replace(lines[0], sentiment_capacity=None)]) is None


def test_curves_begin_at_the_whole_text_and_have_the_paper_s_points() -> None:
    lines = table_lines(TABLE1, 3)
    curves = accuracy_curves(TABLE1, lines, "sst2")
    assert [(curve.entry.name, curve.deletion) for curve in curves] == [
        (name, deletion)
        for name in ("baseline", "vmask", "safr(1, 0.1)")
        for deletion in ("top", "random")
    ]
    for curve in curves:
        assert [point.k for point in curve.points] == [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
        numbers = curve.entry.numbers["sst2"]
        at_30 = {
            "top": numbers["accuracy_capacity_deletion"],
            "random": numbers["accuracy_random_deletion"],
        }
        known = {point.k: point.paper for point in curve.points if point.paper is not None}
        assert known == {0.0: numbers["accuracy"], 0.3: at_30[curve.deletion]}
        whole = values(lines, curve.entry, "accuracy")
        assert curve.points[0].ours.points == pytest.approx(whole)
    top = [deletion_at(line.test, 0.5).accuracy_top for line in lines if line.row == SAFR.row]
    assert curves[4].points[-1].ours.mean == pytest.approx(np.mean(top))
    (one, *_) = accuracy_curves(TABLE1, table_lines(TABLE1, 1), "sst2")
    first = one.points[0].ours
    share = first.mean / 100
    assert first.high - first.mean == pytest.approx(
        stats.norm.ppf(0.975) * 100 * np.sqrt(share * (1 - share) / 400)
    )


def item(name: Any, seeds: int = 3, **changes: Any) -> Reproduction:
    request = request_of(name, seeds)
    return reproduce_item(request, table_lines(request.rows, seeds, **changes))


ITEMS = ("table1", "table2", "table3", "table6", "figure3")


@pytest.mark.parametrize("name", ITEMS)
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_format_holds_the_same_tables(name: str, seeds: int) -> None:
    result = item(name, seeds)
    written = paper_page(result, wide=True)
    made, said = written.tables, written.notes
    assert len(made) == {"table6": 3, "table1": 2, "table2": 2}.get(name, 1)
    page = written.markdown()
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    tables = [token for token in tokens if token.type == "table_open"]
    assert len(tables) == len(made)
    cells = sum(token.type in ("td_open", "th_open") for token in tokens)
    assert cells == sum(len(table.columns) * (1 + len(table.rows)) for table in made)
    assert sum(token.type == "list_item_open" for token in tokens) == len(said)
    source = written.latex()
    for table, body in zip(made, source.split(r"\begin{tabular}")[1:], strict=True):
        lines = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert len(lines) == len(table.rows) + 1
        assert {line.count("&") - line.count(r"\&") for line in lines} == {len(table.columns) - 1}
        columns = body[1 : body.index("}")]
        assert columns == "".join("r" if right else "l" for right in table.right)
        assert [body.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1] * 3
    # Nothing that LaTeX would read as a comment or a subscript.
    assert all("%" not in line.replace(r"\%", "") for line in source.splitlines()[1:])
    assert "_" not in source.replace(r"\_", "")
    assert source.count("{") == source.count("}")
    for text in (page, source):
        assert "preset masked" in text


@pytest.mark.parametrize("name", ITEMS)
def test_the_csv_is_tidy(name: str) -> None:
    result = item(name)
    text = reproduction_table(result).to_csv(index=False)
    read = pd.read_csv(io.StringIO(text))
    keys = {"table3": ["layer", "pad"], "figure3": ["k", "deletion"]}.get(name, [])
    assert not read.duplicated(["row", "metric", *keys]).any()
    rows = {"table1": 12, "table2": 24, "table3": 12, "table6": 60, "figure3": 42}
    assert len(read) == rows[name]
    assert set(read["item"]) == {name}
    assert set(read["preset"]) == {"masked"}
    assert read["runs"].eq(3).all()
    assert (read["low"] <= read["ours"]).all()
    assert (read["ours"] <= read["high"]).all()
    inside = (read["low"] <= read["paper"]) & (read["paper"] <= read["high"])
    known = read["paper"].notna()
    assert (read.loc[known, "inside"].astype(bool) == inside[known]).all()
    if name != "figure3":
        assert known.all()
    if name == "table6":
        assert read.loc[read["row"] == "vmask", "verdict"].isna().all()
        assert (
            read.loc[read["row"] == "baseline", ["lambda_imp", "lambda_inter"]]
            .isna()
            .all(axis=None)
        )
        assert read["noise_floor"].notna().all()


@pytest.mark.parametrize("name", ITEMS)
def test_the_json_is_plain_and_has_the_verdicts(name: str) -> None:
    result = item(name, 2)
    plain = json.loads(json.dumps(reproduction_json(result), allow_nan=False))
    assert (plain["item"], plain["preset"], plain["dataset"]) == (name, "masked", "sst2-treebank")
    if name == "table1":
        rows = plain["comparison"]["rows"]
        assert [row["name"] for row in rows] == ["baseline", "vmask", "safr(1, 0.1)"]
        assert [row["metrics"][3]["verdict"] is None for row in rows] == [False, True, False]
        assert {metric["inside"] for row in rows for metric in row["metrics"]} <= {True, False}
    if name == "table3":
        assert plain["capacities"][0]["nearest"] is True
        assert plain["capacities"][0]["distance"] < 0.01


def test_notes_say_how_to_read_the_numbers() -> None:
    said = " ".join(notes(item("table6")))
    for words in (
        "The test set is read for rows that were fixed beforehand",
        "Preset masked",
        "part of a difference may be that",
        "Test set: 400 texts, the paper's has 1,749",
        "Student-t",
        "Saturated: without the top tokens",
        "Noise floor",
        "Kendall tau-b",
    ):
        assert words in said
    one = " ".join(notes(item("table1", 1)))
    assert "1.96 standard errors of a single run" in one
    assert "Noise floor" not in one
    reference = " ".join(notes(item("table1", preset="reference")))
    assert "Preset reference: the semantics of the code" in reference
    assert "part of a difference" not in reference
    limited = " ".join(notes(item("table1", limits=Limits(500, None, 100))))
    assert "Limited to fewer texts than the paper's: train 500, test 100." in limited
    assert "filter (use sst2-treebank)" in " ".join(notes(item("table1", dataset="sst2")))


def test_rows_that_lack_runs_and_failures_are_named() -> None:
    lines = [line for line in table_lines(TABLE1, 3) if line.row != SAFR.row or line.seed == 0]
    result = reproduce_item(
        request_of("table1", 3),
        [line for line in lines if line.row.vmask],
        ["baseline seed 0 failed: the loss is not a finite number"],
    )
    said = " ".join(notes(result))
    assert "Fewer runs than 3: safr(1, 0.1) 1." in said
    assert "No run of: baseline." in said
    assert "not a finite number" in said
    assert "Our interval (seeds):" in said
    assert "Our interval (one run):" in said


def test_devices_are_named_where_they_differ() -> None:
    lines = table_lines(TABLE1, 2)
    lines[0] = replace(lines[0], device="cuda")
    result = reproduce_item(request_of("table1", 2), lines)
    assert "Runs by device: cpu 5, cuda 1." in notes(result)


def test_texts_are_escaped_for_latex_and_markdown() -> None:
    assert latex_escaped(r"50 % of a_b & {c} #1 $2 \x ~ ^") == (
        r"50 \% of a\_b \& \{c\} \#1 \$2 \textbackslash{}x \textasciitilde{} \textasciicircum{}"
    )
    assert latex_escaped("-3.15 [-4.00, +1.00] sst2-treebank ± 2") == (
        r"$-$3.15 [$-$4.00, +1.00] sst2-treebank $\pm$ 2"
    )
    table = TextTable("t", ("x|y", ">n"), (("*a* | _b_", "1"),))
    page = TextPage("a|b", (table,), ()).markdown()
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    inline = [token.children for token in tokens if token.type == "inline"]
    texts = ["".join(child.content for child in children) for children in inline]
    assert texts == ["a|b", "t", "x|y", "n", "*a* | _b_", "1"]


def test_a_table_s_rows_have_all_its_columns() -> None:
    with pytest.raises(ValueError, match="a row has not 2 cells"):
        TextTable("t", ("a", "b"), (("1",),))
