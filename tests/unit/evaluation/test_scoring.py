from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from counted_passes import count_passes
from plain_scores import deletion_at, deletions_of
from scipy import stats

from safr_study.data import EncodedSplit
from safr_study.errors import BadInput, TrialFailure
from safr_study.evaluation.deletion import random_scores
from safr_study.evaluation.scoring import evaluate_model
from safr_study.model import SafrClassifier, build_model
from safr_study.model.positions import positions_of
from safr_study.records import Scores
from safr_study.settings import CapacityLayer, EvaluationConfig, ModelShape, Preset, Wanted

MAX_LEN = 14
TINY = ModelShape(embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6)
CONFIG = EvaluationConfig(draws=3, batch_size=7, seed=5)
KS = (0.1, 0.3, 0.5)


def tiny_model(preset: Preset = "masked", *, layers: int = 1, vmask: bool = True) -> SafrClassifier:
    shape = TINY.model_copy(update={"layers": layers, "vmask": vmask})
    return build_model(
        shape, preset=preset, vocabulary_size=30, classes=2, max_len=MAX_LEN, seed=1
    ).eval()


def everything_at(*ks: float) -> Wanted:
    return Wanted(shares=ks, random=True, bottom=True, alone=True)


def scored(model: Any, split: EncodedSplit, **changes: Any) -> Scores:
    settings: dict[str, Any] = {
        "split_name": "dev",
        "config": CONFIG,
        "want": everything_at(*KS),
        "preset": "masked",
        "device": torch.device("cpu"),
    }
    return evaluate_model(model, split, **{**settings, **changes}).scores


def brute_force(
    model: SafrClassifier, split: EncodedSplit, preset: Preset, layer: CapacityLayer
) -> dict[str, Any]:
    """The same numbers one text at a time, every token and draw in a loop."""

    @torch.no_grad()
    def run(tokens: list[int]) -> Any:
        width = MAX_LEN if preset == "reference" else max(1, len(tokens))
        return model(torch.tensor([tokens + [0] * (width - len(tokens))]))

    texts = [split.tokens[a:b].tolist() for a, b in pairwise(split.offsets)]
    labels = split.labels.tolist()
    outputs = [run(text) for text in texts]
    full = [int(output.logits[0].argmax()) for output in outputs]
    rankings = []
    for text, output in zip(texts, outputs, strict=True):
        h = getattr(output, layer)[-1][0].double().numpy()
        n = len(text)
        gram = [[float(h[i] @ h[j]) for j in range(n)] for i in range(n)]
        c = [gram[i][i] ** 2 / sum(g**2 for g in gram[i]) for i in range(n)]
        rankings.append(sorted(range(n), key=lambda i, c=c: (-c[i], i)))

    def logits(text: list[int], gone: list[int]) -> Any:
        return run([t for i, t in enumerate(text) if i not in gone]).logits[0].double().numpy()

    def predicted(text: list[int], gone: list[int]) -> int:
        return int(logits(text, gone).argmax())

    def p_of_full(row: int, gone: list[int]) -> float:
        e = np.exp(logits(texts[row], gone))
        return float(e[full[row]] / e.sum())

    def with_se(name: str, values: Any) -> dict[str, float]:
        return {name: float(np.mean(values)), f"{name}_se": float(stats.sem(values))}

    found: dict[str, Any] = {
        "accuracy": 100 * np.mean([f == y for f, y in zip(full, labels, strict=True)]),
        "loss": np.mean(
            [
                float(F.cross_entropy(output.logits.double(), torch.tensor([label])))
                for output, label in zip(outputs, labels, strict=True)
            ]
        ),
    }
    for k in KS:
        q = [round(k * len(text)) for text in texts]
        top = [predicted(t, order[:n]) for t, order, n in zip(texts, rankings, q, strict=True)]
        random = []
        for draw in range(CONFIG.draws):
            scores = random_scores(split.offsets, k, draw, seed=CONFIG.seed).tolist()
            for row, text in enumerate(texts):
                mine = scores[split.offsets[row] : split.offsets[row + 1]]
                order = sorted(range(len(text)), key=lambda i, mine=mine: -mine[i])
                random.append(predicted(text, order[: q[row]]) == labels[row])
        c_full = np.equal(full, labels).astype(float)
        c_top = np.equal(top, labels).astype(float)
        c_random = np.reshape(random, (CONFIG.draws, -1)).mean(axis=0)
        rows = range(len(texts))
        least = [predicted(texts[i], rankings[i][len(texts[i]) - q[i] :]) for i in rows]
        c_bottom = np.equal(least, labels).astype(float)
        whole = np.array([p_of_full(i, []) for i in rows])
        without = np.array([p_of_full(i, rankings[i][: q[i]]) for i in rows])
        alone = np.array([p_of_full(i, rankings[i][q[i] :]) for i in rows])
        flips = int((c_full != c_top).sum())
        lost = int((c_full > c_top).sum())
        majority = 100 * max(labels.count(0), labels.count(1)) / len(labels)
        room = 100 * c_random.mean() - majority
        found[f"{k}"] = {
            "k": k,
            "realised_share": sum(q) / sum(map(len, texts)),
            "accuracy_top": 100 * c_top.mean(),
            "srs": 100 * (c_full - c_top).mean(),
            "srs_se": 100 * (c_full - c_top).std() / math.sqrt(len(texts)),
            "accuracy_random": 100 * c_random.mean(),
            "accuracy_random_se": 100 * float(stats.sem(c_random)),
            "srs_excess": 100 * (c_random - c_top).mean(),
            "srs_excess_se": 100 * (c_random - c_top).std(ddof=1) / math.sqrt(len(texts)),
            "dominant_share": max(top.count(0), top.count(1)) / len(texts),
            "mcnemar_p": stats.binomtest(lost, flips).pvalue if flips else 1.0,
            "headroom": 100 * (c_random - c_top).mean() / room if room >= 2 else None,
            "accuracy_bottom": 100 * c_bottom.mean(),
            **with_se("contrast", 100 * (c_bottom - c_top)),
            **with_se("comprehensiveness", 100 * (whole - without)),
            **with_se("sufficiency", 100 * (whole - alone)),
            "log_odds": float(np.mean(np.log(without / whole))),
            "flip_rate": 100 * float(np.mean(np.not_equal(top, full))),
        }
    return found


@pytest.mark.parametrize(
    ("preset", "layers", "vmask", "layer"),
    [
        ("masked", 1, True, "ffn1_pre_relu"),
        ("masked", 2, False, "ffn1_post_relu"),
        ("reference", 1, True, "ffn1_pre_relu"),
    ],
)
def test_batched_scores_equal_a_loop_over_single_texts(
    ragged_split: EncodedSplit,
    preset: Preset,
    layers: int,
    vmask: bool,
    layer: CapacityLayer,
) -> None:
    model = tiny_model(preset, layers=layers, vmask=vmask)
    config = CONFIG.model_copy(update={"capacity_layer": layer})
    found = scored(model, ragged_split, preset=preset, config=config)
    expected = brute_force(model, ragged_split, preset, layer)
    assert found.accuracy == pytest.approx(expected.pop("accuracy"), abs=1e-9)
    assert found.value("log_loss") == pytest.approx(expected.pop("loss"), abs=1e-6)
    measured = {f"{d.k}": vars(d) for d in deletions_of(found)}
    assert not any(deletion.pop("saturated") for deletion in measured.values())
    for k, deletion in expected.items():
        headroom = measured[k].pop("headroom")
        assert headroom == (pytest.approx(h, abs=1e-5) if (h := deletion.pop("headroom")) else None)
        assert measured[k] == pytest.approx(deletion, rel=0, abs=1e-5)
        assert measured[k]["srs"] == pytest.approx(deletion["srs"], rel=0, abs=1e-9)
    assert any(abs(d.srs) > 1 for d in deletions_of(found)), "deletion must change predictions"


def test_nothing_depends_on_the_batches_or_on_what_ran_before(ragged_split: EncodedSplit) -> None:
    model = tiny_model()
    first = scored(model, ragged_split)
    state = torch.random.get_rng_state()
    assert scored(model.train(), ragged_split) == first
    assert model.training
    torch.testing.assert_close(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    for batch_size in (1, 60):
        config = CONFIG.model_copy(update={"batch_size": batch_size})
        other = scored(model, ragged_split, config=config)
        assert [d.srs for d in deletions_of(other)] == [d.srs for d in deletions_of(first)]
        assert other.value("log_loss") == pytest.approx(first.value("log_loss"), abs=1e-6)


def test_random_deletions_are_measured_only_when_asked(
    ragged_split: EncodedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = count_passes(monkeypatch)
    model = tiny_model()
    plain = scored(model, ragged_split, want=Wanted(shares=(0.3,)))
    # Texts that lose no token are not run again.
    losing = int((np.round(0.3 * ragged_split.lengths) > 0).sum())
    assert sum(run) == ragged_split.examples + losing
    assert deletions_of(plain)[0].accuracy_random is None
    assert deletions_of(plain)[0].srs_excess is None
    run.clear()
    drawn = scored(model, ragged_split, want=Wanted(shares=(0.3,), random=True))
    # A text that loses the same tokens in two deletions is run once.
    most = ragged_split.examples + (1 + CONFIG.draws) * losing
    assert ragged_split.examples + CONFIG.draws * losing / 2 < sum(run) <= most
    assert deletions_of(drawn)[0].srs == deletions_of(plain)[0].srs


def test_scores_are_ordered_by_share_without_repeats(ragged_split: EncodedSplit) -> None:
    found = scored(tiny_model(), ragged_split, want=Wanted(shares=(0.5, 0.1, 0.5)))
    assert [deletion.k for deletion in deletions_of(found)] == [0.1, 0.5]
    assert deletion_at(found, 0.5).realised_share > deletion_at(found, 0.1).realised_share


def test_deleting_nothing_and_everything(ragged_split: EncodedSplit) -> None:
    found = scored(tiny_model(), ragged_split, want=everything_at(0.0, 1.0))
    nothing, everything = deletions_of(found)
    assert (nothing.srs, nothing.srs_se, nothing.realised_share) == (0.0, 0.0, 0.0)
    assert nothing.accuracy_top == nothing.accuracy_random == found.accuracy
    # Empty texts all get the bias's class.
    assert (everything.realised_share, everything.dominant_share) == (1.0, 1.0)
    assert everything.saturated
    assert everything.srs_excess == 0.0
    assert found.saturated


def test_a_split_of_empty_texts_is_scored() -> None:
    empty = EncodedSplit(
        tokens=np.empty(0, np.int32), offsets=np.zeros(4, np.int64), labels=np.array([0, 1, 1])
    )
    found = scored(tiny_model(), empty)
    assert found.accuracy in (pytest.approx(100 / 3), pytest.approx(200 / 3))
    assert found.value("majority_accuracy") == pytest.approx(200 / 3)
    assert [(d.srs, d.realised_share) for d in deletions_of(found)] == [(0.0, 0.0)] * 3


def test_one_text_has_no_error_of_the_excess() -> None:
    one = EncodedSplit(
        tokens=np.array([3, 4, 5], np.int32), offsets=np.array([0, 3]), labels=np.array([1])
    )
    found = scored(tiny_model(), one)
    assert all(deletion.srs_excess_se is None for deletion in deletions_of(found))


@pytest.mark.parametrize(("others", "saturated"), [(5, False), (4, True)])
def test_saturation_begins_above_95_percent(others: int, saturated: bool) -> None:
    class FirstToken(torch.nn.Module):
        """Predicts class 1 for texts that begin with word 3."""

        def forward(self, ids: torch.Tensor) -> Any:
            logits = F.one_hot((ids[:, 0] == 3).long(), 2).float()
            rows = (torch.ones(*ids.shape, 1),)
            return SimpleNamespace(
                logits=logits,
                ffn1_pre_relu=rows,
                keep_probability=None,
                positions=positions_of(ids, pairs=False),
            )

    tokens = np.full((100, 2), 2, np.int32)
    tokens[:others, 1] = 3  # What remains after the first of two equal capacities is deleted.
    split = EncodedSplit(
        tokens=tokens.reshape(-1),
        offsets=np.arange(0, 201, 2),
        labels=np.zeros(100, np.int64),
    )
    [deletion] = deletions_of(scored(FirstToken(), split, want=Wanted(shares=(0.5,))))
    assert deletion.dominant_share == (100 - others) / 100
    assert deletion.saturated is saturated


def test_a_model_that_diverged_fails_with_a_sentence(ragged_split: EncodedSplit) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.fc.bias[0] = math.nan
    with pytest.raises(TrialFailure, match="logits are not finite"):
        scored(model, ragged_split)


def test_what_cannot_be_evaluated_is_refused(ragged_split: EncodedSplit) -> None:
    nothing = EncodedSplit(np.empty(0, np.int32), np.zeros(1, np.int64), np.empty(0, np.int64))
    with pytest.raises(BadInput, match="no texts"):
        scored(tiny_model(), nothing)
    with pytest.raises(BadInput, match="from 0 to 1"):
        scored(tiny_model(), ragged_split, want=Wanted(shares=(30,)))
