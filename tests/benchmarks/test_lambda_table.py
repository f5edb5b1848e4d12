"""The table of trainings: what is measured, what survives, and what a replay gets of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from plain_scores import deletion_at

from benchmarks.curves import LEVELS
from benchmarks.lambda_table import (
    RUNG_TEXTS,
    Run,
    config_of,
    main,
    measurer,
    missing,
    pairs_in_order,
    train_run,
)
from benchmarks.table_lines import COARSE, FileTable, TableLine, read_lines
from safr_study.data import encoded_corpus
from safr_study.errors import BadInput
from safr_study.evaluation.deletion import sample_texts
from safr_study.evaluation.scoring import evaluate_model
from safr_study.settings import CorpusSpec, EvaluationConfig, ModelShape, wanted
from safr_study.training import fit

CPU = torch.device("cpu")
DATA = CorpusSpec(dataset="planted", train_limit=60, dev_limit=450, max_len=20)
TINY = ModelShape(embed_dim=8, ffn_dim=8, heads=2, mask_hidden_dim=4)


def tiny_run(folder: Path, *, epochs: int = 3) -> Run:
    """Of a model that trains in a moment."""
    config = config_of((0.1, 0.0), 1, epochs)
    return Run(DATA, config.model_copy(update={"shape": TINY, "learning_rate": 0.02}), folder)


def line(pair: tuple[float, float] | None, seed: int = 0, **changes: object) -> TableLine:
    given = {
        "dataset": "planted",
        "corpus": "ab" * 32,
        "limits": {"train": 60, "dev": 450},
        "majority_accuracy": 50.0,
        "preset": "masked",
        "pair": pair,
        "seed": seed,
        "epochs": 2,
        "train": {},
        "evaluation": {},
        "rung_texts": RUNG_TEXTS,
        "loss": (0.7, 0.6),
        "accuracy": (51.0, 60.0 + seed),
        "srs": (1.0, 2.0),
        "dominant_share": (0.5, 0.6),
        "rung_accuracy": ((50.0, 61.0), (52.0, 62.0), (53.0, 63.0)),
        "rung_srs": ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)),
        "seconds": (1.0, 1.0),
        "device": "cpu",
        "versions": {"torch": "2"},
    }
    return TableLine(**{**given, **changes})  # type: ignore[arg-type]


def test_a_line_has_what_a_trial_and_its_rungs_would_measure(tmp_path: Path) -> None:
    run = tiny_run(tmp_path)
    corpus, evaluation = encoded_corpus(DATA), EvaluationConfig()
    found = train_run(run)
    scored = []

    def measure(model: object, _epoch: int) -> None:
        for texts in (corpus.dev.examples, *RUNG_TEXTS):
            scores = evaluate_model(
                model,  # type: ignore[arg-type]
                sample_texts(corpus.dev, texts, seed=evaluation.seed),
                split_name="dev",
                config=evaluation,
                want=wanted(("accuracy", "srs@30")),
                preset="masked",
                device=CPU,
            ).scores
            scored.append((scores.accuracy, deletion_at(scores, 0.3).srs))

    reports = fit(run.train, corpus, device=CPU, measure=measure).epochs
    ours = [
        values
        for epoch in range(3)
        for values in (
            (found.accuracy[epoch], found.srs[epoch]),
            *(
                (a[epoch], s[epoch])
                for a, s in zip(found.rung_accuracy, found.rung_srs, strict=True)
            ),
        )
    ]
    assert ours == [pytest.approx(values, abs=1e-5) for values in scored]
    assert len(set(ours)) > 3
    assert found.loss == pytest.approx([report.dev_loss for report in reports], abs=1e-5)
    # What is the default is not repeated.
    assert found.train == {"learning_rate": 0.02}


def test_an_interrupted_training_gives_the_same_line(tmp_path: Path) -> None:
    corpus = encoded_corpus(DATA)
    whole, cut = tiny_run(tmp_path / "whole"), tiny_run(tmp_path / "cut")

    def stop(_report: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            cut.train,
            corpus,
            device=CPU,
            resume_from=cut.state / "running",
            on_epoch=stop,
            measure=measurer(corpus, EvaluationConfig(), CPU),
        )
    assert list((cut.state / "running").glob("epoch-*"))
    lines = [replace(train_run(run), seconds=(0.0,) * 3) for run in (whole, cut)]
    assert lines[0] == lines[1]


def test_a_line_reads_as_it_was_written() -> None:
    for pair in (None, (0.00068, 10.0)):
        written = line(pair, seed=1)
        assert TableLine.from_text(written.to_text()) == written


def test_lists_of_another_length_are_no_line() -> None:
    with pytest.raises(ValueError, match="as many values"):
        line(None, loss=(0.7,))


def test_a_torn_last_line_is_dropped_and_any_other_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    texts = [line((0.0, level)).to_text() for level in LEVELS[:3]]
    path.write_text("\n".join(texts)[:-20], encoding="utf-8")
    assert [one.pair for one in read_lines(path)] == [(0.0, 0.0), (0.0, 0.0001)]
    with path.open("a", encoding="utf-8") as file:
        file.write(texts[2] + "\n")
    assert len(read_lines(path)) == 3
    path.write_text(texts[0][:50] + "\n" + texts[1] + "\n", encoding="utf-8")
    with pytest.raises(BadInput, match="line 1"):
        read_lines(path)
    assert read_lines(tmp_path / "none.jsonl") == []


def test_the_grid_is_whole_and_its_coarse_part_comes_first() -> None:
    order = pairs_in_order()
    assert len(order) == len(set(order)) == 65
    assert order[0] is None
    coarse = {(imp, inter) for imp in COARSE for inter in COARSE}
    assert set(order[1 : 1 + len(coarse)]) == coarse
    assert (0.0, 0.0) in coarse
    assert (10.0, 10.0) in coarse


def test_a_part_of_the_table_is_a_coarser_table() -> None:
    def table(pairs: list[tuple[float, float] | None], seeds: int) -> FileTable:
        lines = [line(pair, seed) for seed in range(seeds) for pair in pairs]
        return FileTable.of("t", lines, texts=200)

    order = pairs_in_order()
    assert (table(order, 2).levels, table(order, 2).seeds) == (LEVELS, 2)
    assert (table(order[:40], 1).levels, table(order[:40], 1).seeds) == (COARSE, 1)
    curve = table(order, 2).curve((0.0, 10.0), 1)
    assert curve.values == ((51.0, 1.0), (61.0, 2.0))
    assert curve.rung_values == ((52.0, 3.0), (62.0, 4.0))
    with pytest.raises(BadInput, match="coarse grid"):
        table(order[:20], 1)
    with pytest.raises(BadInput, match="400, 200, 100"):
        FileTable.of("t", [line(None)], texts=300)


def test_what_is_done_is_not_done_again_and_other_settings_are_refused(tmp_path: Path) -> None:
    runs = [Run(DATA, config_of(pair, 0, 2), tmp_path) for pair in (None, (0.0, 0.0), (1.5, 10.0))]
    done = [line(None), line((1.5, 10.0))]
    assert [run.pair for run in missing(runs, done)] == [(0.0, 0.0)]
    with pytest.raises(BadInput, match="other settings"):
        missing(runs, [line(None, limits={"train": None, "dev": None})])


def test_limited_data_never_reach_the_table(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["--train-limit", "20"]) == 2
    assert "give a file" in caplog.text
