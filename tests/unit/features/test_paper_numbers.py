"""The paper's own arithmetic: what its numbers say about how they were made."""

from __future__ import annotations

import itertools
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from safr_study.evaluation.deletion import deletion_counts
from safr_study.features.paper.lines import BASELINE_ROW, VMASK_ROW, MeanCapacities, Row
from safr_study.features.paper.rows import METRICS, paper
from safr_study.pareto import front_numbers

DATASETS = ("sst2", "imdb")
TEXTS = {"sst2": 1749, "imdb": 25_000}
OURS = {"sst2": ("sst2-treebank", 128), "imdb": ("imdb", 256)}
"""Data set and tokens kept of each text."""


def published() -> dict[str, Any]:
    """The file of the tables."""
    file = resources.files("safr_study.features.paper").joinpath("paper_tables.json")
    plain: dict[str, Any] = json.loads(file.read_text())
    return plain


def test_the_tables_are_packaged_and_whole() -> None:
    tables = paper()
    assert len(tables.rows) == 15
    assert [row.row for row in tables.rows[:2]] == [BASELINE_ROW, VMASK_ROW]
    assert tables.examples["sst2"]["test"] == TEXTS["sst2"]
    assert tables.examples["imdb"]["test"] == TEXTS["imdb"]
    plain = published()
    numbers = [
        (row.name, dataset, metric, row.numbers[dataset][metric])
        for row in tables.rows
        for dataset in DATASETS
        for metric in METRICS
    ]
    assert len(numbers) == 120
    assert numbers == [
        (entry["name"], dataset, metric, entry[dataset][metric])
        for entry in plain["table6"]
        for dataset in DATASETS
        for metric in METRICS
    ]


def test_rows_are_named_by_their_settings() -> None:
    assert [row.row.name for row in paper().rows] == [row.name for row in paper().rows]
    assert len({row.row for row in paper().rows}) == 15
    for bad in ((False, 0.0, None), (True, None, 0.0), (False, None, 1.0)):
        with pytest.raises(ValueError, match="null without VMASK"):
            Row(*bad)


def test_tables_1_and_2_are_rows_of_table_6() -> None:
    tables = paper()
    safr = {"sst2": Row(True, 1, 0.1), "imdb": Row(True, 0.01, 0.01)}
    for dataset in DATASETS:
        rows = tables.named(tables.table1[dataset])
        assert [row.row for row in rows] == [BASELINE_ROW, VMASK_ROW, safr[dataset]]
    assert len(tables.named(tables.table2["sst2"])) == 6
    assert "imdb" not in tables.table2
    with pytest.raises(KeyError):
        tables.named(["safr(2, 2)"])


@pytest.mark.parametrize("dataset", DATASETS)
def test_srs_is_accuracy_lost_without_the_top_tokens(dataset: str) -> None:
    numbers = [row.numbers[dataset] for row in paper().rows]
    residuals = [
        one["accuracy"] - one["accuracy_capacity_deletion"] - one["srs"] for one in numbers
    ]
    # Exact in every row, though three numbers rounded by themselves may miss by 0.01: SRS was
    # computed from the printed accuracies.
    assert max(map(abs, residuals)) < 0.005
    # A control: SRS is not the loss beyond a random deletion.
    excess = [
        row.numbers[dataset]["accuracy_random_deletion"]
        - row.numbers[dataset]["accuracy_capacity_deletion"]
        - row.numbers[dataset]["srs"]
        for row in paper().rows
    ]
    assert max(map(abs, excess)) > 5


def test_every_accuracy_on_sst2_is_a_whole_number_of_texts() -> None:
    values = np.array(
        [[row.numbers["sst2"][metric] for metric in METRICS[:3]] for row in paper().rows]
    )

    def misses(texts: int) -> int:
        nearest = np.round(np.round(values * texts / 100) / texts * 100, 2)
        return int((np.abs(nearest - values) > 1e-9).sum())

    # One draw of the random deletion too: a mean of several would not be a multiple.
    assert misses(1749) == 0
    assert misses(1821) > 10
    assert misses(1743) > 10


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_front_of_table_6_is_the_one_that_is_named(dataset: str) -> None:
    rows = paper().rows
    points = [[row.numbers[dataset]["accuracy"], row.numbers[dataset]["srs"]] for row in rows]
    found = [row.name for row, front in zip(rows, front_numbers(points), strict=True) if not front]
    assert sorted(found) == sorted(published()["pareto_front_table6"][dataset])


@pytest.mark.parametrize("dataset", DATASETS)
def test_no_row_equals_lambda_0_0_in_srs(dataset: str) -> None:
    # Else the sign of the paper's difference would be undefined.
    base = paper().named(["vmask"])[0].numbers[dataset]["srs"]
    assert all(row.numbers[dataset]["srs"] != base for row in paper().rows if row.name != "vmask")


def admitted_shares(means: MeanCapacities) -> tuple[float, float]:
    """The lowest and the highest share of important tokens that the three numbers allow.

    all = s important + (1 - s) less_important, each known to half a unit of its fourth decimal, so
    s = (all - less_important) / (important - less_important).
    """
    shares = [
        (means.all + a - means.less_important - c)
        / (means.important + b - means.less_important - c)
        for a, b, c in itertools.product((-0.00005, 0.00005), repeat=3)
    ]
    return min(shares), max(shares)


@pytest.mark.parametrize("dataset", DATASETS)
def test_table_3_is_a_mixture_of_30_percent(dataset: str) -> None:
    means = paper().capacities[dataset]
    low, high = admitted_shares(means)
    assert low < published()["table3_average_capacity"]["important_share"] < high
    assert high - low < 0.001
    mixed = 0.3 * means.important + 0.7 * means.less_important
    assert mixed == pytest.approx(means.all, abs=1e-4)


@pytest.mark.parametrize("dataset", DATASETS)
def test_table_3_admits_half_even_rounding_and_no_other(dataset: str, real_data: Path) -> None:
    name, kept = OURS[dataset]
    texts = pd.read_parquet(real_data / name / "test.parquet")["text"]
    lengths = np.minimum(texts.str.split().str.len().to_numpy(), kept)
    total = lengths.sum()
    exact = 3 * lengths  # 10 k n, in whole numbers: no rounding of floats
    shares = {
        "half-even": deletion_counts(lengths, 0.3).sum() / total,
        "floor": (exact // 10).sum() / total,
        "ceil": (-(-exact // 10)).sum() / total,
        "half-up": ((exact + 5) // 10).sum() / total,
    }
    low, high = admitted_shares(paper().capacities[dataset])
    # The paper's test set has some texts that ours lacks: each may move sum(q) by half a token.
    missing = 0.5 * abs(TEXTS[dataset] - len(texts)) / total
    admitted = [rule for rule, share in shares.items() if low - missing <= share <= high + missing]
    assert admitted == ["half-even"]
