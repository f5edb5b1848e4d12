"""Rankings against the gold rationale, from finished runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plain_scores import a_deletion, changed, deletion_at
from scipy import stats
from synthetic_runs import request_of, run_line

from safr_study.errors import BadInput
from safr_study.features.paper.compare import (
    Reproduction,
    reproduce_item,
)
from safr_study.features.paper.curves import compare_rankings, compare_sentiment
from safr_study.features.paper.lines import RunLine
from safr_study.features.paper.numbers import reproduction_json, reproduction_table
from safr_study.features.paper.output import write_item
from safr_study.features.paper.rows import item_rows, paper
from safr_study.features.paper.view import paper_page

TABLE1 = paper().named(paper().table1["sst2"])
SAFR = TABLE1[-1]
PRECISIONS = {"capacity": (0.44, 0.47, 0.46), "random": (0.29, 0.30, 0.28)}


def line(entry, seed: int) -> RunLine:
    plain = run_line(entry.row, seed)
    found = {"average_precision_se": 0.01, "auroc": 0.6, "auroc_se": 0.01,
             "precision_at_gold": 0.3, "precision_at_gold_se": 0.02}  # fmt: skip
    agreements = [
        {"ranking": name, "texts": 300, "average_precision": values[seed], **found}
        for name, values in PRECISIONS.items()
    ]
    deletion = a_deletion(0.3, 0.3, 69.0 + seed, 3.0 - seed, 0.9, saturated=seed == 2)
    controls = [{"ranking": "random", "deletions": [deletion]}]
    return replace(plain, test=changed(plain.test, agreements=agreements, controls=controls))


def result(seeds: int) -> Reproduction:
    lines = [line(entry, seed) for entry in TABLE1 for seed in range(seeds)]
    return reproduce_item(request_of("rationale", seeds), lines)


def test_each_ranking_has_its_interval_over_the_seeds() -> None:
    lines = [line(SAFR, seed) for seed in range(3)]
    capacity, random = compare_rankings((SAFR,), lines)
    expected = stats.ttest_1samp(PRECISIONS["capacity"], 0).confidence_interval()
    assert capacity.average_precision.mean == pytest.approx(np.mean(PRECISIONS["capacity"]))
    assert capacity.average_precision.low == pytest.approx(expected.low)
    assert capacity.average_precision.high == pytest.approx(expected.high)
    assert capacity.srs is not None
    assert capacity.srs.mean == pytest.approx(
        np.mean([deletion_at(one.test, 0.3).srs for one in lines])
    )
    assert random.srs is not None
    assert random.srs.mean == pytest.approx(2.0)
    assert (random.saturated, random.texts, random.seeds) == (1, 300, 3)


def test_one_run_has_the_interval_of_its_texts() -> None:
    capacity, random = compare_rankings((SAFR,), [line(SAFR, 0)])
    assert capacity.average_precision.method == "normal"
    assert capacity.average_precision.high == pytest.approx(0.44 + 1.959964 * 0.01)
    assert random.srs is not None
    assert random.srs.low == pytest.approx(3.0 - 1.959964 * 0.9)
    (sentiment,) = compare_sentiment((SAFR,), [line(SAFR, 0)])
    assert sentiment.difference.low == pytest.approx(0.26 - 1.959964 * 0.01)


def test_every_format_has_the_numbers(tmp_path) -> None:
    found = result(3)
    table = reproduction_table(found)
    rows = table[(table["ranking"] == "capacity") & (table["metric"] == "average_precision")]
    assert rows["row"].tolist() == [entry.name for entry in TABLE1]
    assert rows["ours"].tolist() == pytest.approx([np.mean(PRECISIONS["capacity"])] * 3)
    assert len(reproduction_json(found)["rankings"]) == 2 * len(TABLE1)
    page = paper_page(found, wide=True)
    rankings, sentiments = page.tables
    assert rankings.rows[1][:2] == ("baseline", "random")
    assert rankings.rows[1][-1].endswith("!")
    assert [row[0] for row in sentiments.rows] == [entry.name for entry in TABLE1]
    assert "not in the paper" in page.title
    assert any("sentiment of their own" in note for note in page.notes)
    files = {path.suffix: path for path in write_item(found, tmp_path)}
    assert "0.457 [" in files[".md"].read_text("utf-8")
    assert "average precision" in files[".svg"].read_text("utf-8")


def test_data_without_a_rationale_is_refused() -> None:
    with pytest.raises(BadInput, match="no gold rationale"):
        item_rows("rationale", "imdb")
