from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from counted_passes import count_passes

from safr_study.data import EncodedSplit
from safr_study.errors import BadInput
from safr_study.evaluation.deletion import deletion_counts, random_scores, rank_tokens, without_top
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import (
    measured_scores,
    recomputed_ranks,
    token_scores,
    word_counts,
)
from safr_study.model import SafrClassifier, SafrOutput, build_model
from safr_study.settings import CapacityLayer, ModelShape, Preset, Ranking

ALL: tuple[Ranking, ...] = get_args(Ranking)
MAX_LEN = 14
COUNTS = np.arange(30) ** 2


def exact_model(preset: Preset = "masked", *, vmask: bool = True) -> SafrClassifier:
    shape = ModelShape(embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6, vmask=vmask, layers=2)
    model = build_model(
        shape, preset=preset, vocabulary_size=30, classes=3, max_len=MAX_LEN, seed=1
    )
    return model.double().eval()


def predictor_of(model: SafrClassifier) -> Predictor:
    return Predictor(model, 7, None if model.padding_aware else MAX_LEN, torch.device("cpu"))


def padded(model: SafrClassifier, tokens: list[int]) -> torch.Tensor:
    width = max(1, len(tokens)) if model.padding_aware else MAX_LEN
    return torch.tensor([tokens + [0] * (width - len(tokens))])


def rows_of(output: SafrOutput, layer: CapacityLayer) -> torch.Tensor:
    name, _, block = layer.partition(":")
    rows: torch.Tensor = getattr(output, name)[int(block) - 1 if block else -1][0]
    return rows


def capacities_of(model: SafrClassifier, tokens: list[int], layer: CapacityLayer) -> list[float]:
    """Equation 3 of the paper, one pair at a time."""
    with torch.no_grad():
        h = rows_of(model(padded(model, tokens)), layer)[: len(tokens)].numpy()
    squares = [[float(a @ b) ** 2 for b in h] for a in h]
    return [row[i] / sum(row) if row[i] else 0.0 for i, row in enumerate(squares)]


def scores_of(model: SafrClassifier, split: EncodedSplit, rankings=ALL, **changes):
    predictor = predictor_of(model)
    layer = changes.pop("layer", "ffn1_pre_relu")
    arguments = {
        "measured": measured_scores(predictor, split, rankings, layer)[1],
        "train_counts": COUNTS,
        "seed": 4,
        "full": predictor.logits(split).argmax(axis=1),
        **changes,
    }
    return token_scores(predictor, split, rankings, **arguments)


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("layer", ["ffn1_pre_relu", "ffn1_post_relu", "ffn1_pre_relu:1"])
def test_every_score_equals_a_loop_over_the_tokens(
    ragged_split: EncodedSplit, preset: Preset, layer: CapacityLayer
) -> None:
    model = exact_model(preset)
    found = scores_of(model, ragged_split, layer=layer)
    assert tuple(found) == ALL
    expected: dict[str, list[float]] = {name: [] for name in ALL}
    for a, b in pairwise(ragged_split.offsets):
        tokens = ragged_split.tokens[a:b].tolist()
        scale = torch.ones(padded(model, tokens).shape, dtype=torch.float64, requires_grad=True)
        output = model(padded(model, tokens), scale=scale)
        output.logits[0].max().backward()
        gradients = scale.grad[0].abs().tolist()  # type: ignore[index]
        expected["capacity"] += capacities_of(model, tokens, layer)
        for i, token in enumerate(tokens):
            expected["keep_probability"].append(output.keep_probability[0, i].item())
            row = rows_of(output, layer)[i].detach().numpy()
            expected["norm"].append(float(np.sqrt(np.sum(row**2))))
            expected["inverse_frequency"].append(1 / (1 + token**2))
            expected["position"].append(-float(i))
            expected["gradient_x_input"].append(gradients[i])
    del expected["random"]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-12, err_msg=name)  # type: ignore[index]


def test_capacity_of_a_block_that_is_not_there_is_a_sentence(ragged_split: EncodedSplit) -> None:
    last = scores_of(exact_model(), ragged_split, layer="ffn1_pre_relu:2")["capacity"]
    np.testing.assert_array_equal(last, scores_of(exact_model(), ragged_split)["capacity"])
    with pytest.raises(BadInput, match=r"^layer: there is no block 3: the model has 2 blocks"):
        scores_of(exact_model(), ragged_split, layer="ffn1_pre_relu:3")


def test_earlier_and_rarer_words_are_deleted_first() -> None:
    split = EncodedSplit(np.array([5, 1, 3, 5], np.int32), np.array([0, 4]), np.array([0]))
    train = EncodedSplit(
        np.array([5, 5, 1, 1, 1, 3, 5, 5], np.int32), np.array([0, 8]), np.array([0])
    )
    counts = word_counts(train, 30)
    assert counts[[0, 1, 3, 5, 29]].tolist() == [0, 3, 1, 4, 0]
    assert len(counts) == 30
    found = scores_of(exact_model(), split, ("position", "inverse_frequency"), train_counts=counts)
    assert found["inverse_frequency"].tolist() == [1 / 5, 1 / 4, 1 / 2, 1 / 5]
    ranks = {name: rank_tokens(values, split.offsets).tolist() for name, values in found.items()}
    assert ranks == {"position": [0, 1, 2, 3], "inverse_frequency": [2, 1, 0, 3]}


def test_the_random_control_is_no_random_deletion(ragged_split: EncodedSplit) -> None:
    model = exact_model()
    random = scores_of(model, ragged_split, ("random",))["random"]
    np.testing.assert_array_equal(random, scores_of(model, ragged_split, ("random",))["random"])
    assert random.min() >= 0
    assert random.max() < 1
    others = [
        random_scores(ragged_split.offsets, k, draw, seed=4)
        for k in (0.0, 0.3, 1.0)
        for draw in range(3)
    ]
    others.append(scores_of(model, ragged_split, ("random",), seed=5)["random"])
    for other in others:
        assert abs(np.corrcoef(random, other)[0, 1]) < 0.2


def test_what_the_model_or_the_caller_lacks_is_left_out(ragged_split: EncodedSplit) -> None:
    found = scores_of(exact_model(vmask=False), ragged_split, train_counts=None)
    assert set(ALL) - set(found) == {"keep_probability", "inverse_frequency"}


def test_one_pass_gives_all_that_one_pass_can_give(
    ragged_split: EncodedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exact_model()
    predictor = predictor_of(model)
    full = predictor.logits(ragged_split).argmax(axis=1)
    batches = -(-ragged_split.examples // 7)
    passes = count_passes(monkeypatch)

    def passes_of(rankings: tuple[Ranking, ...]) -> int:
        passes.clear()
        token_scores(
            predictor,
            ragged_split,
            rankings,
            measured=measured,
            train_counts=COUNTS,
            seed=0,
            full=full,
        )
        return len(passes)

    logits, measured = measured_scores(predictor, ragged_split, ALL, "ffn1_pre_relu")
    assert len(passes) == batches
    assert list(measured) == ["capacity", "keep_probability", "norm"]
    assert passes_of(("capacity", "norm", "position", "random", "inverse_frequency")) == 0
    assert passes_of(ALL) == batches
    alone = predictor.logits(ragged_split)
    np.testing.assert_allclose(logits, alone, rtol=0, atol=1e-12)


def recompute(model: SafrClassifier, tokens: list[int], count: int) -> list[int]:
    """Places removed, in order: measure, remove the highest, measure again."""
    left = list(range(len(tokens)))
    gone = []
    for _ in range(count):
        found = capacities_of(model, [tokens[i] for i in left], "ffn1_pre_relu")
        highest = max(range(len(left)), key=lambda i, found=found: (found[i], -i))
        gone.append(left.pop(highest))
    return gone


@pytest.mark.parametrize("preset", ["masked", "reference"])
def test_recomputed_deletion_equals_a_plain_loop(
    ragged_split: EncodedSplit, preset: Preset
) -> None:
    model = exact_model(preset)
    predictor = predictor_of(model)
    counts = deletion_counts(ragged_split.lengths, 0.5)
    ranks = recomputed_ranks(predictor, ragged_split, counts, "ffn1_pre_relu")
    keep = without_top(ranks, ragged_split.offsets, counts)
    for row, (a, b) in enumerate(pairwise(ragged_split.offsets)):
        gone = recompute(model, ragged_split.tokens[a:b].tolist(), counts[row])
        stay = [i for i in range(b - a) if i not in gone]
        assert np.argsort(ranks[a:b]).tolist() == gone + stay
        assert np.flatnonzero(keep[a:b]).tolist() == stay
    capacities = scores_of(model, ragged_split, ("capacity",))["capacity"]
    once = without_top(rank_tokens(capacities, ragged_split.offsets), ragged_split.offsets, counts)
    assert not np.array_equal(once, keep)
    fewer = deletion_counts(ragged_split.lengths, 0.2)
    of_fewer = recomputed_ranks(predictor, ragged_split, fewer, "ffn1_pre_relu")
    np.testing.assert_array_equal(
        without_top(ranks, ragged_split.offsets, fewer),
        without_top(of_fewer, ragged_split.offsets, fewer),
    )


def test_recomputing_runs_only_the_texts_that_still_lose_a_token(
    ragged_split: EncodedSplit,
) -> None:
    model = exact_model()
    run: list[int] = []
    model.register_forward_hook(lambda _, ids, __: run.append(len(ids[0])))
    counts = deletion_counts(ragged_split.lengths, 0.3)
    recomputed_ranks(predictor_of(model), ragged_split, counts, "ffn1_pre_relu")
    assert sum(run) == counts.sum()


@pytest.mark.parametrize("every", [False, True])
def test_recomputing_nothing_or_everything(ragged_split: EncodedSplit, every: bool) -> None:
    counts = ragged_split.lengths * every
    predictor = predictor_of(exact_model())
    ranks = recomputed_ranks(predictor, ragged_split, counts, "ffn1_pre_relu")
    keep = without_top(ranks, ragged_split.offsets, counts)
    assert keep.tolist() == [not every] * len(ragged_split.tokens)
