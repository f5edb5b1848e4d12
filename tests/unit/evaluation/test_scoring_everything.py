"""All metrics of a model at once: what is wired to what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from plain_scores import deletion_at, deletions_of, numbers
from scipy import stats

from safr_study.data import EncodedSplit
from safr_study.evaluation.deletion import rank_tokens
from safr_study.evaluation.rankings import word_counts
from safr_study.evaluation.scoring import evaluate_model
from safr_study.model import SafrClassifier, build_model
from safr_study.records import Scores, to_plain
from safr_study.records.metric_values import measured_metrics, metrics_table
from safr_study.settings import (
    AT_K,
    CONTROLS,
    CURVE_SHARES,
    LAYERS,
    OF_LAYER,
    OF_MODEL,
    DeletionMode,
    EvaluationConfig,
    ModelShape,
    Objective,
    Wanted,
    everything,
    wanted,
)
from safr_study.settings.metrics import OF_NEURONS

OF_OTHERS = ("headroom", "srs_first", "srs_second")
"""Metrics at k that single texts, or this model, cannot have."""
TINY = ModelShape(embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6)
CONFIG = EvaluationConfig(
    draws=2, batch_size=7, seed=5, sample_texts=20, sample_tokens=100, cause_texts=8, naopc_texts=3
)


def tiny_model(*, layers: int = 1, vmask: bool = True) -> SafrClassifier:
    shape = TINY.model_copy(update={"layers": layers, "vmask": vmask})
    return build_model(
        shape, preset="masked", vocabulary_size=30, classes=2, max_len=14, seed=1
    ).eval()


def scores_of(
    model: SafrClassifier,
    split: EncodedSplit,
    want: Wanted,
    on_part: Callable[[str], None] = lambda _: None,
    **changes: Any,
) -> Scores:
    return evaluate_model(
        model,
        split,
        split_name="dev",
        config=CONFIG.model_copy(update=changes),
        want=want,
        preset="masked",
        device=torch.device("cpu"),
        train_counts=word_counts(split, 30),
        on_part=on_part,
    ).scores


@pytest.fixture(scope="module")
def split() -> EncodedSplit:
    rng = np.random.default_rng(3)
    lengths = np.concatenate((rng.integers(2, 13, size=38), [0, 1]))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return EncodedSplit(
        tokens=rng.integers(2, 30, size=offsets[-1]).astype(np.int32),
        offsets=offsets,
        labels=rng.integers(0, 2, size=40),
        rationale=rng.integers(0, 2, size=offsets[-1]).astype(np.int8),
        groups=np.arange(40) // 2,
    )


@pytest.fixture(scope="module")
def full(split: EncodedSplit) -> Scores:
    return scores_of(tiny_model(layers=2), split, everything())


def test_every_metric_of_the_catalogue_has_a_value(full: Scores) -> None:
    names = {metric.name for metric in measured_metrics(full)}
    shares = [f"{100 * k:g}" for k in CURVE_SHARES if k]
    expected = {f"{name}@{k}" for name in AT_K for k in shares if name not in OF_OTHERS}
    expected |= set(OF_MODEL)
    expected |= {
        f"{name}.{layer}"
        for name in OF_LAYER
        for layer in LAYERS
        if layer == "ffn1_post" or name not in OF_NEURONS
    }
    assert names >= expected
    more = {name for name in names - expected if not name.startswith("headroom@")}
    # Of two blocks the last one has the plain names.
    assert all(name.endswith(".block1") for name in more)
    assert "mean_capacity.ffn1_pre.block1" in more


def test_any_metric_can_be_an_objective(full: Scores, split: EncodedSplit) -> None:
    model = tiny_model(layers=2)
    named = {
        metric.name: metric.value for metric in measured_metrics(full) if "." not in metric.name
    }
    named |= {
        f"{name}.ffn1_pre": getattr(full.superposition[-4], name)
        for name in OF_LAYER
        if getattr(full.superposition[-4], name) is not None
    }
    assert full.superposition[-4].layer == "ffn1_pre"
    assert full.superposition[-4].block == 1, "of several blocks the last one counts"
    for name, value in named.items():
        objective = Objective.named(name)
        alone = scores_of(model, split, wanted([name]))
        assert alone.value(objective.name) == pytest.approx(value, abs=1e-6), name


def test_what_was_not_wanted_is_not_measured(split: EncodedSplit) -> None:
    plain = scores_of(tiny_model(), split, wanted(["accuracy", "srs@30"]))
    document = plain.to_plain()
    assert document["curve"] is document["kendall_tau"] is None
    assert document["agreements"] == document["controls"] == document["superposition"] == []
    assert deletions_of(plain)[0].contrast is deletions_of(plain)[0].sufficiency is None


def test_curves_are_areas_over_the_realised_shares(full: Scores) -> None:
    shares = [0.0, *(one.realised_share for one in deletions_of(full))]
    srs = [0.0, *(one.srs for one in deletions_of(full))]
    assert full.value("srs_auc") == pytest.approx(np.trapezoid(srs, shares) / shares[-1], abs=1e-9)
    kept = [one.comprehensiveness for one in deletions_of(full)]
    assert full.value("comprehensiveness_aopc") == pytest.approx(np.mean(kept), abs=1e-9)


def test_kendall_compares_capacity_with_leaving_each_token_out(split: EncodedSplit) -> None:
    model = tiny_model().double()
    found = scores_of(model, split, Wanted(leave_one_out=True), sample_texts=1000)
    taus = []
    for row in range(split.examples):
        ids = torch.from_numpy(split.tokens[split.offsets[row] : split.offsets[row + 1]]).long()
        if len(ids) < 2:
            continue
        with torch.no_grad():
            output = model(ids[None])
            p = output.logits.softmax(1)[0]
            y = int(p.argmax())
            lost = [
                float(
                    p[y] - model(torch.cat((ids[:i], ids[i + 1 :]))[None]).logits.softmax(1)[0, y]
                )
                for i in range(len(ids))
            ]
        h = output.ffn1_pre_relu[-1][0].numpy()
        gram = (h @ h.T) ** 2
        tau = stats.kendalltau(gram.diagonal() / gram.sum(axis=1), lost).statistic
        if not np.isnan(tau):
            taus.append(tau)
    assert found.values["kendall_texts"].value == len(taus)
    assert found.values["kendall_tau"].value == pytest.approx(np.mean(taus), abs=1e-6)
    assert found.values["kendall_tau"].se == pytest.approx(stats.sem(taus), abs=1e-6)


def test_controls_lose_what_their_own_ranking_deletes(split: EncodedSplit) -> None:
    model = tiny_model()
    found = scores_of(model, split, Wanted(shares=(0.3,), controls=CONTROLS))
    by_name = {name: numbers(values) for name, values in found.rankings.items()}
    assert set(by_name) == set(CONTROLS)
    # By position: the first q tokens go.
    lengths = np.diff(split.offsets)
    first = -np.concatenate([np.arange(n) for n in lengths]).astype(float)
    keep = rank_tokens(first, split.offsets) >= np.repeat(np.round(0.3 * lengths), lengths)
    right = []
    for row, label in enumerate(split.labels.tolist()):
        span = slice(split.offsets[row], split.offsets[row + 1])
        ids = torch.from_numpy(split.tokens[span][keep[span]]).long()
        ids = ids if len(ids) else torch.zeros(1, dtype=torch.long)
        right.append(int(model(ids[None]).logits.argmax()) == label)
    assert by_name["position"].accuracy_top == pytest.approx(100 * np.mean(right))
    without = scores_of(tiny_model(vmask=False), split, Wanted(shares=(0.3,), controls=CONTROLS))
    assert set(without.rankings) == set(CONTROLS) - {"keep_probability"}
    assert without.value("gate_openness") is None


@pytest.mark.parametrize("mode", ["unk", "attn", "gate"])
def test_the_mode_is_used_and_recorded(split: EncodedSplit, mode: DeletionMode) -> None:
    model = tiny_model()
    removed = scores_of(model, split, Wanted(shares=(0.5,)))
    other = scores_of(model, split, Wanted(shares=(0.5,)), mode=mode)
    assert (removed.mode, other.mode) == ("remove", mode)
    assert other.accuracy == removed.accuracy
    assert deletions_of(other)[0].comprehensiveness != pytest.approx(
        deletions_of(removed)[0].comprehensiveness, abs=1e-6
    )


def test_ranking_anew_changes_the_top_alone(split: EncodedSplit) -> None:
    model = tiny_model()
    want = Wanted(shares=(0.5,), random=True)
    once = deletions_of(scores_of(model, split, want))[0]
    anew = deletions_of(scores_of(model, split, want, recompute=True))[0]
    assert anew.accuracy_random == once.accuracy_random
    assert anew.realised_share == once.realised_share
    assert anew.log_odds != pytest.approx(once.log_odds, abs=1e-9)


def test_each_part_of_the_measuring_is_told_as_it_begins(split: EncodedSplit) -> None:
    told: list[str] = []
    want = Wanted(shares=(0.2, 0.3), leave_one_out=True, superposition=True)
    scores_of(tiny_model(), split, want, on_part=told.append)
    assert told == [
        "measuring predictions and capacity",
        "deleting the top 20 % by capacity",
        "deleting the top 30 % by capacity",
        "leaving out one word after the other",
        "measuring the superposition of every layer",
    ]


def test_scores_survive_the_ledger(full: Scores) -> None:
    assert Scores.from_plain(to_plain(full)) == full
    old = to_plain(full)
    for late in ("mode", "curve", "agreements", "controls", "superposition", "kendall_tau"):
        del old[late]
    assert deletions_of(Scores.from_plain(old)) == deletions_of(full)


def test_the_table_says_how_to_read_each_number(full: Scores) -> None:
    every = metrics_table(full)
    others = every[every["ranking"] != "capacity"]
    assert set(others["ranking"]) == set(CONTROLS)
    assert set(others["metric"]) >= {"srs@30", "average_precision"}
    table = every[every["ranking"] == "capacity"].set_index("metric")
    assert table.loc["srs@30", ["unit", "better", "mode"]].tolist() == [
        "points",
        "higher",
        "remove",
    ]
    assert table.loc["sufficiency@30", "better"] == "lower"
    assert table.loc["log_odds@30", "unit"] == "nats"
    assert table.loc["kendall_tau", "mode"] == "remove"
    assert table.loc["accuracy", "mode"] == ""
    assert table.loc["srs@30", "se"] == deletion_at(full, 0.3).srs_se
