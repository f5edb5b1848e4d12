"""Deletion of words of either text of a pair, held against loops over the words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pairs import random_pairs, split_of_pairs

from safr_study.data import EncodedSplit, batch_of, remove_tokens
from safr_study.errors import BadInput
from safr_study.evaluation.deletion import Choice, deletion_counts, take_texts, without_top
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores
from safr_study.evaluation.scoring import evaluate_model
from safr_study.model import SafrClassifier, build_model
from safr_study.settings import (
    SEP,
    DeletionMode,
    EvaluationConfig,
    ModelShape,
    Side,
    everything,
    wanted,
)

CPU = torch.device("cpu")
PAIRS = random_pairs(40, words=20)


def a_model() -> SafrClassifier:
    shape = ModelShape(embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6)
    model = build_model(
        shape, preset="masked", vocabulary_size=20, classes=2, max_len=16, seed=4, pairs=True
    )
    return model.double().eval()


def sides_of(split: EncodedSplit, row: int) -> tuple[list[int], list[int]]:
    """Places of the tokens of either side of a pair."""
    assert split.second is not None
    places = range(split.offsets[row], split.offsets[row + 1])
    return (
        [place for place in places if not split.second[place]],
        [place for place in places if split.second[place]],
    )


def ids_of(split: EncodedSplit, row: int, kept: set[int]) -> torch.Tensor:
    first, second = (
        [int(split.tokens[p]) for p in side if p in kept] for side in sides_of(split, row)
    )
    return torch.tensor([[*first, SEP, *second]])


def top_of(scores: np.ndarray, places: list[int], k: float) -> list[int]:
    """The q highest of these places, ties by position."""
    return sorted(places, key=lambda place: (-scores[place], place))[: round(k * len(places))]


def test_removed_words_leave_the_others_on_their_sides() -> None:
    split = split_of_pairs(([3, 4], [5]), ([6, 7], [8]), [0, 1])
    left = remove_tokens(split, np.array([False, True, True, False, False, True]))
    assert left.second is not None
    assert (left.tokens.tolist(), left.second.tolist()) == ([4, 6, 8], [0, 1, 1])
    assert batch_of(left, np.arange(2), None).ids.tolist() == [[4, SEP, 6], [SEP, 8, 0]]
    some = take_texts(split, np.array([1, 0]))
    assert batch_of(some, np.arange(2), None).ids.tolist() == [
        [5, SEP, 8, 0, 0],
        [3, 4, SEP, 6, 7],
    ]


@pytest.mark.parametrize("side", ["first", "second"])
@pytest.mark.parametrize("k", [0.05, 0.3, 0.5, 1.0])
def test_the_choice_of_a_side_deletes_its_top_words_alone(side: Side, k: float) -> None:
    scores = np.random.default_rng(1).integers(0, 4, len(PAIRS.tokens)).astype(np.float64)
    choice = Choice.of(PAIRS, side)
    counts = deletion_counts(choice.lengths, k)
    keep = without_top(choice.ranks(scores), choice.offsets, counts)
    gone: list[int] = []
    for row in range(PAIRS.examples):
        gone += top_of(scores, sides_of(PAIRS, row)[side == "second"], k)
    assert np.flatnonzero(~keep).tolist() == sorted(gone)
    of_side = [
        place for row in range(PAIRS.examples) for place in sides_of(PAIRS, row)[side == "second"]
    ]
    assert np.flatnonzero(choice.tokens).tolist() == of_side


def test_a_side_of_single_texts_is_refused() -> None:
    single = EncodedSplit(np.array([3], np.int32), np.array([0, 1]), np.array([0]))
    with pytest.raises(BadInput, match="there is no first text where texts are no pairs"):
        Choice.of(single, "first")


def srs_by_loops(model: SafrClassifier, places: Callable[[int], list[int]], k: float) -> float:
    """SRS over these places of each pair, each pair in a batch of its own."""
    predictor = Predictor(model, 7, None, CPU)
    scores = measured_scores(predictor, PAIRS, {"capacity"}, "ffn1_pre_relu")[1]["capacity"]
    lost = 0
    with torch.inference_mode():
        for row in range(PAIRS.examples):
            every = set(range(PAIRS.offsets[row], PAIRS.offsets[row + 1]))
            left = every - set(top_of(scores, places(row), k))
            label = int(PAIRS.labels[row])
            before, after = (
                int(model(ids_of(PAIRS, row, kept)).logits.argmax()) == label
                for kept in (every, left)
            )
            lost += before - after
    return 100.0 * lost / PAIRS.examples


def test_srs_of_the_sides_and_of_both_are_those_of_loops() -> None:
    model = a_model()
    found = evaluate_model(
        model,
        PAIRS,
        split_name="dev",
        config=EvaluationConfig(),
        want=wanted(["srs@30", "srs_first@30", "srs_second@50"]),
        preset="masked",
        device=CPU,
    ).scores
    both = lambda row: [*sides_of(PAIRS, row)[0], *sides_of(PAIRS, row)[1]]  # noqa: E731
    first, second = (lambda row, s=s: sides_of(PAIRS, row)[s] for s in (0, 1))
    assert found.value("srs@30") == pytest.approx(srs_by_loops(model, both, 0.3))
    assert found.value("srs_first@30") == pytest.approx(srs_by_loops(model, first, 0.3))
    assert found.value("srs_second@50") == pytest.approx(srs_by_loops(model, second, 0.5))
    assert len({found.value("srs@30"), found.value("srs_first@30")}) == 2


@pytest.mark.parametrize("side", ["first", "second"])
def test_the_setting_deletes_on_its_side_what_the_metric_of_the_side_does(side: Side) -> None:
    found = evaluate_model(
        a_model(),
        PAIRS,
        split_name="dev",
        config=EvaluationConfig(delete=side),
        want=everything((0.3,), quick=True),
        preset="masked",
        device=CPU,
    ).scores
    for k in (10, 30, 50):
        assert found.value(f"srs@{k}") == pytest.approx(found.value(f"srs_{side}@{k}"))
    counts = Choice.of(PAIRS, side).lengths
    share = deletion_counts(counts, 0.3).sum() / counts.sum()
    assert found.values["realised_share@30"].value == pytest.approx(share)


def test_all_of_a_side_deleted_is_the_other_side_alone() -> None:
    model = a_model()
    predictor = Predictor(model, 7, None, CPU)
    assert PAIRS.second is not None
    for side, marks in (("first", PAIRS.second == 1), ("second", PAIRS.second == 0)):
        found = evaluate_model(
            model,
            PAIRS,
            split_name="dev",
            config=EvaluationConfig(),
            want=wanted([f"srs_{side}@100"]),
            preset="masked",
            device=CPU,
        ).scores
        whole = predictor.logits(PAIRS).argmax(axis=1) == PAIRS.labels
        alone = predictor.logits(remove_tokens(PAIRS, marks)).argmax(axis=1) == PAIRS.labels
        assert found.value(f"srs_{side}@100") == pytest.approx(100 * (whole.mean() - alone.mean()))


@pytest.mark.parametrize("mode", ["unk", "attn", "gate"])
def test_no_mode_touches_the_separator(mode: DeletionMode) -> None:
    """All words deleted leaves what the separator alone says, on the same positions."""
    model = a_model()
    keep = np.zeros(len(PAIRS.tokens), dtype=np.bool_)
    found = Predictor(model, 1, None, CPU).logits(PAIRS, keep, mode)
    with torch.inference_mode():
        for row in range(PAIRS.examples):
            ids = ids_of(PAIRS, row, set(range(len(PAIRS.tokens))))
            between = ids == SEP
            if mode == "unk":
                expected = model(torch.where(between, ids, 1)).logits
            elif mode == "attn":
                expected = model(ids, visible=between).logits
            else:
                expected = model(ids, gate=between.double()).logits
            np.testing.assert_allclose(found[row], expected[0].numpy(), rtol=1e-9, atol=1e-12)


def test_recomputed_ranks_are_taken_whole_for_a_side() -> None:
    config = EvaluationConfig(recompute=True)
    want = wanted(["srs_first@30"])
    args = {"split_name": "dev", "want": want, "preset": "masked", "device": CPU}
    found = evaluate_model(a_model(), PAIRS, config=config, **args).scores  # type: ignore[arg-type]
    by_side = EvaluationConfig(recompute=True, delete="first")
    other = evaluate_model(a_model(), PAIRS, config=by_side, **args).scores  # type: ignore[arg-type]
    assert found.value("srs_first@30") == pytest.approx(other.value("srs@30"))


def test_measures_are_of_words_alone() -> None:
    predictor = Predictor(a_model(), 5, None, CPU)
    logits, scores = measured_scores(
        predictor, PAIRS, {"capacity", "keep_probability", "norm"}, "ffn1_pre_relu"
    )
    gradient = predictor.gradient_x_input(PAIRS, logits.argmax(axis=1))
    model = a_model()
    with torch.inference_mode():
        for row in range(PAIRS.examples):
            first, second = sides_of(PAIRS, row)
            places = [*first, *second]
            output = model(ids_of(PAIRS, row, set(places)))
            words = [p for p, w in enumerate(output.positions.words[0].tolist()) if w]
            vectors = output.ffn1_pre_relu[-1][0, words]
            squares = (vectors @ vectors.T) ** 2
            capacity = squares.diagonal() / squares.sum(dim=1)
            np.testing.assert_allclose(scores["capacity"][places], capacity, rtol=1e-9)
            keep = output.keep_probability[0, words]
            np.testing.assert_allclose(scores["keep_probability"][places], keep, rtol=1e-9)
    assert (gradient > 0).all()
