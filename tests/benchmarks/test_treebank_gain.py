"""What the regularisers buy on the SST-2 treebank: minutes of training, kept line by line.

``make results`` runs it. Each finished run is a line of ``docs/results/sst2-treebank.jsonl`` and is
not paid for twice; delete a line to run it again. The test set is read here, as for a table of the
paper: the two settings are fixed beforehand, nothing is chosen by it.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from safr_study.data import encoded_corpus
from safr_study.records import to_plain
from safr_study.settings import CorpusSpec, EvaluationConfig, Penalties, TrainConfig

pytestmark = pytest.mark.long

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "sst2-treebank.jsonl"
SEEDS = range(5)
SETTINGS = ((0.0, 0.0), (0.1, 0.1))
EPOCHS = 30
CORPUS = CorpusSpec(dataset="sst2-treebank")
PRECISION = 4


def run(lambda_imp: float, lambda_inter: float, seed: int) -> dict[str, Any]:
    """Train one setting with one seed; its line of the results."""
    import torch

    from safr_study.evaluation import score_model
    from safr_study.training import computing, fit

    config = TrainConfig(
        penalties=Penalties(lambda_imp=lambda_imp, lambda_inter=lambda_inter),
        epochs=EPOCHS,
        seed=seed,
    )
    corpus = encoded_corpus(CORPUS)
    evaluation = EvaluationConfig()
    device = torch.device("cpu")
    with computing(config.threads):
        fitted = fit(config, corpus, device=device)
        scores = [
            score_model(
                fitted.model,
                corpus.split(split),
                split_name=split,
                classes=len(corpus.class_names),
                config=evaluation,
                ks=[0.3],
                random_draws=True,
                preset=config.preset,
                device=device,
            )
            for split in ("dev", "test")
        ]
    return {
        "dataset": CORPUS.dataset,
        "corpus": corpus.fingerprint,
        "preset": config.preset,
        "lambda_imp": lambda_imp,
        "lambda_inter": lambda_inter,
        "seed": seed,
        "epochs": len(fitted.epochs),
        "best_epoch": fitted.best_epoch,
        "learning_rate": config.learning_rate,
        "capacity_layer": evaluation.capacity_layer,
        **{score.split: _rounded(to_plain(score)) for score in scores},
    }


def known() -> dict[tuple[float, float, int], dict[str, Any]]:
    """The lines that are there already."""
    if not RESULTS.exists():
        return {}
    lines = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]
    return {(line["lambda_imp"], line["lambda_inter"], line["seed"]): line for line in lines}


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and Student-t 95 % interval over seeds."""
    mean, error = float(np.mean(values)), float(stats.sem(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error)
    return mean, float(low), float(high)


@pytest.mark.timeout(4 * 3600)
def test_the_regularisers_raise_srs_at_the_same_accuracy(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (real_data / "sst2-treebank").is_dir()
    done = known()
    wanted = [(imp, inter, seed) for seed in SEEDS for imp, inter in SETTINGS]
    missing = [key for key in wanted if key not in done]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(max_workers=2) as pool:
        for line in pool.map(run, *zip(*missing, strict=True)) if missing else ():
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
    done = known()
    dev = {s: [done[*s, seed]["dev"]["accuracy"] for seed in SEEDS] for s in SETTINGS}
    srs = {s: [done[*s, seed]["test"]["deletions"][0]["srs"] for seed in SEEDS] for s in SETTINGS}
    excess = {
        s: [done[*s, seed]["test"]["deletions"][0]["srs_excess"] for seed in SEEDS]
        for s in SETTINGS
    }
    accuracy = {s: [done[*s, seed]["test"]["accuracy"] for seed in SEEDS] for s in SETTINGS}
    off, on = SETTINGS
    gain = [b - a for a, b in zip(srs[off], srs[on], strict=True)]
    with capsys.disabled():
        rows = [
            ("dev accuracy", dev),
            ("test accuracy", accuracy),
            ("test SRS(30)", srs),
            ("test SRS_excess(30)", excess),
        ]
        print()  # noqa: T201
        for name, by_setting in rows:
            for setting, values in by_setting.items():
                print(f"{name:20} lambda {setting}: " + _shown(values))  # noqa: T201
        print(f"{'SRS(30) gain':20} paired over seeds: " + _shown(gain))  # noqa: T201
    assert min(dev[off]) >= 70.0
    assert interval(gain)[1] > 0.0


def _shown(values: list[float]) -> str:
    mean, low, high = interval(values)
    return f"{mean:.2f} [{low:.2f}, {high:.2f}] of " + ", ".join(f"{v:.2f}" for v in values)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, PRECISION)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
