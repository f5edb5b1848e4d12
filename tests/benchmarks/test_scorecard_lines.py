"""The scorecard of SAFR and its rivals over seeds: its lines, means, differences and sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from benchmarks.scorecard import (
    BASE,
    FROM_SCRATCH,
    MEASUREMENT,
    MODELS,
    OVER_ENCODER,
    cards_of,
    difference,
    main,
    markdown,
)
from benchmarks.trained_models import Line, read_lines
from safr_study.settings import RIVALS_OFF

WORDS = ("bad", "good", "film", "plot", "actors", "screen", "music", "story")


@pytest.fixture
def treebank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Short texts whose first word is the label and the evidence."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "sst2-treebank"
    folder.mkdir(parents=True)
    for split, texts in (("train", 40), ("validation", 12), ("test", 12)):
        labels = [number % 2 for number in range(texts)]
        drawn = [rng.choice(WORDS[2:], size=rng.integers(3, 6)).tolist() for _ in labels]
        table = {
            "text": [" ".join([WORDS[y], *rest]) for y, rest in zip(labels, drawn, strict=True)],
            "label": labels,
            "rationale": [[1] + [0] * len(rest) for rest in drawn],
        }
        pq.write_table(pa.table(table), folder / f"{split}.parquet")
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path / "data"))
    return tmp_path


def changed(line: Line, seed: int, accuracy: float) -> Line:
    return replace(line, seed=seed, test={**line.test, "accuracy": accuracy})


def test_lines_have_every_measure_and_the_tables_their_means_and_differences(
    treebank: Path,
) -> None:
    out = treebank / "cards.jsonl"
    command = ["--epochs", "1", "--out", str(out), "--scratch", str(treebank / "scratch")]
    assert main([*command, "--models", BASE, "Top-K 0.05"]) == 0
    base, rival = read_lines(out)
    assert rival.train["epochs"] == 1
    for metric in ("naopc", "average_precision", "neuron_effect@30", "contrast@30", "srs@30"):
        assert rival.scores.has(metric), metric
    assert rival.scores.value("token_entropy.ffn1_post") is not None
    lines = [
        *(changed(base, seed, one) for seed, one in enumerate((70.0, 74.0, 72.0))),
        *(changed(rival, seed, one) for seed, one in enumerate((60.0, 67.0, 62.0))),
    ]
    cards = cards_of(lines)
    assert [card.model for card in cards] == [BASE, "Top-K 0.05"]
    gap = difference(cards[1], cards[0], "accuracy")
    assert gap is not None
    half = stats.t.ppf(0.975, 2) * np.std([-10, -7, -10], ddof=1) / np.sqrt(3)
    assert gap.ends == pytest.approx((-9 - half, -9 + half))
    assert difference(cards[1], cards[0], "no such measure") is None
    table = markdown(lines)
    assert f"| -9.00 [{-9 - half:.2f}, {-9 + half:.2f}] |" in table
    assert "- Top-K 0.05, from scratch: " in table
    assert "accuracy worse" in table
    # One seed has a mean and no difference.
    alone = markdown([base, rival])
    assert "from scratch | Top-K 0.05 | " in alone
    assert "- Top-K" not in alone


@pytest.mark.usefixtures("treebank")
def test_every_rival_is_alone_in_its_model_and_the_base_has_none() -> None:
    runs = {run.model: run.train for run in MEASUREMENT.runs(MEASUREMENT.arguments([]))}
    assert tuple(runs) == FROM_SCRATCH
    assert {*FROM_SCRATCH, *OVER_ENCODER} == {*MODELS}
    for name, train in runs.items():
        on = {
            "lambda_l1": train.penalties.lambda_l1,
            "lambda_ortho": train.penalties.lambda_ortho,
            "ffn_topk": train.shape.ffn_topk,
        }
        active = [key for key, value in on.items() if value != RIVALS_OFF[key]]
        assert len(active) == (name.split()[0] in {"L1", "orthogonality", "Top-K"})
        assert train.shape.vmask == (name in {"VMASK only", "SAFR (1, 0.1)"})
    assert (
        len({run.key() for run in MEASUREMENT.runs(MEASUREMENT.arguments(["--seeds", "0", "1"]))})
        == 18
    )
