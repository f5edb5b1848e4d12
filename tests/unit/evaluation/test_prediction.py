from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from counted_passes import count_passes
from torch import Tensor

from safr_study.data import EncodedSplit
from safr_study.errors import TrialFailure
from safr_study.evaluation.capacity import capacity
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores
from safr_study.model import SafrClassifier, SafrOutput, build_model
from safr_study.settings import UNK, DeletionMode, ModelShape, Preset

CPU = torch.device("cpu")
MAX_LEN = 14
MODES: tuple[DeletionMode, ...] = ("remove", "unk", "attn", "gate")
MODELS = pytest.mark.parametrize(
    ("preset", "vmask", "layers"),
    [("masked", True, 2), ("masked", False, 1), ("reference", True, 2)],
)


def exact_model(
    preset: Preset = "masked", *, vmask: bool = True, layers: int = 1
) -> SafrClassifier:
    shape = ModelShape(
        embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6, vmask=vmask, layers=layers
    )
    model = build_model(
        shape, preset=preset, vocabulary_size=30, classes=3, max_len=MAX_LEN, seed=1
    )
    return model.double().eval()


def predictor_of(model: SafrClassifier, batch_size: int = 7) -> Predictor:
    return Predictor(model, batch_size, None if model.padding_aware else MAX_LEN, CPU)


def some_kept(split: EncodedSplit) -> np.ndarray:
    """Half of the tokens; texts 5, 7 and 9 lose none, texts 11 and 12 all of them."""
    keep = np.random.default_rng(0).random(len(split.tokens)) < 0.5
    for row in (5, 7, 9, 11, 12):
        keep[split.offsets[row] : split.offsets[row + 1]] = row < 10
    return keep


@torch.no_grad()
def by_hand(model: SafrClassifier, tokens: list[int], keep: list[bool], mode: str) -> Tensor:
    """Logits of one text with tokens deleted, step by step through the model's parts."""
    if mode == "remove":
        tokens = [token for token, kept in zip(tokens, keep, strict=True) if kept]
    elif mode == "unk":
        tokens = [token if kept else 1 for token, kept in zip(tokens, keep, strict=True)]
    width = len(tokens) if model.padding_aware else MAX_LEN
    real = torch.arange(width) < len(tokens)
    kept_or_pad = torch.ones(width, dtype=torch.bool)
    if mode in ("attn", "gate"):
        kept_or_pad[: len(tokens)] = torch.tensor(keep, dtype=torch.bool)
    x = model.embedding(torch.tensor(tokens + [0] * (width - len(tokens)), dtype=torch.int64))
    x = x * math.sqrt(8)
    if model.vmask is not None:
        x = x * torch.sigmoid(model.vmask(x))[:, None]
    if mode == "gate":
        x[~kept_or_pad] = 0
    x = (x + model.positions[:width])[None]
    if mode == "attn":
        x, real = x[:, kept_or_pad], real[kept_or_pad]
    if x.numel():
        for layer in model.layers:
            x = layer(x, real[None], None).block
    pooled = x[0, real] if model.padding_aware else x[0]
    logits: Tensor = model.fc(pooled.sum(0) / max(1, len(pooled)))
    return logits


@MODELS
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_equals_a_loop_over_single_texts(
    ragged_split: EncodedSplit, mode: DeletionMode, preset: Preset, vmask: bool, layers: int
) -> None:
    model = exact_model(preset, vmask=vmask, layers=layers)
    keep = some_kept(ragged_split)
    found = predictor_of(model).logits(ragged_split, keep, mode)
    expected = [
        by_hand(model, ragged_split.tokens[a:b].tolist(), keep[a:b].tolist(), mode)
        for a, b in pairwise(ragged_split.offsets)
    ]
    np.testing.assert_allclose(found, torch.stack(expected), rtol=0, atol=1e-12)


def test_the_modes_differ_and_remove_is_the_default(ragged_split: EncodedSplit) -> None:
    predictor, keep = predictor_of(exact_model()), some_kept(ragged_split)
    found = [predictor.logits(ragged_split, keep, mode) for mode in MODES]
    for i, one in enumerate(found):
        for other in [*found[:i], predictor.logits(ragged_split)]:
            assert np.abs(one - other).max() > 1e-2
    np.testing.assert_array_equal(predictor.logits(ragged_split, keep), found[0])


def test_unk_is_the_unknown_word_of_the_vocabulary() -> None:
    assert UNK == 1


@pytest.mark.parametrize("mode", MODES)
def test_keeping_every_token_changes_nothing(
    ragged_split: EncodedSplit, mode: DeletionMode
) -> None:
    predictor = predictor_of(exact_model())
    every = np.ones(len(ragged_split.tokens), dtype=bool)
    full = predictor.logits(ragged_split)
    np.testing.assert_allclose(predictor.logits(ragged_split, every, mode), full, atol=1e-12)
    assert np.array_equal(
        predictor.logits_of_each(ragged_split, every[None], mode, known=full), full[None]
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("preset", ["masked", "reference"])
def test_with_known_logits_only_the_texts_that_lost_a_token_are_run(
    ragged_split: EncodedSplit,
    mode: DeletionMode,
    preset: Preset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = exact_model(preset)
    predictor, keep = predictor_of(model), some_kept(ragged_split)
    known = np.full((ragged_split.examples, 3), 77.0)
    run = count_passes(monkeypatch)
    (found,) = predictor.logits_of_each(ragged_split, keep[None], mode, known=known)
    untouched = [bool(keep[a:b].all()) for a, b in pairwise(ragged_split.offsets)]
    assert 5 <= sum(untouched) < ragged_split.examples
    assert sum(run) == ragged_split.examples - sum(untouched)
    monkeypatch.undo()
    every = predictor.logits(ragged_split, keep, mode)
    np.testing.assert_array_equal(found[untouched], known[untouched])
    lost = np.logical_not(untouched)
    np.testing.assert_allclose(found[lost], every[lost], rtol=0, atol=1e-12)
    assert np.all(known == 77.0)


def test_known_logits_move_float32_by_rounding_alone(ragged_split: EncodedSplit) -> None:
    predictor, keep = predictor_of(exact_model().float()), some_kept(ragged_split)
    known = predictor.logits(ragged_split)
    (found,) = predictor.logits_of_each(ragged_split, keep[None], known=known)
    np.testing.assert_allclose(found, predictor.logits(ragged_split, keep), rtol=0, atol=2e-6)
    (again,) = predictor.logits_of_each(ragged_split, keep[None], known=known)
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_measures_come_in_the_layout_of_the_split(
    ragged_split: EncodedSplit, batch_size: int
) -> None:
    model = exact_model("reference")

    def of(output: SafrOutput) -> dict[str, Tensor]:
        words = output.positions.words
        places = torch.arange(words.shape[1]).expand_as(words)
        undefined = torch.where(words, 1.0, math.nan)
        return {"places": places * undefined, "gate": output.keep_probability}

    logits, measures = predictor_of(model, batch_size).measure(ragged_split, of)
    expected = np.concatenate([np.arange(n) for n in ragged_split.lengths])
    np.testing.assert_array_equal(measures["places"], expected)
    assert all(values.dtype == np.float64 for values in measures.values())
    gates = model(torch.arange(30)[:, None]).keep_probability[:, 0].detach().numpy()
    np.testing.assert_allclose(measures["gate"], gates[ragged_split.tokens], atol=1e-12)
    alone = predictor_of(model, batch_size).logits(ragged_split)
    np.testing.assert_allclose(logits, alone, rtol=0, atol=1e-12)


def test_capacity_is_one_of_the_measures(ragged_split: EncodedSplit) -> None:
    predictor = predictor_of(exact_model(layers=2))

    def of(output: SafrOutput) -> dict[str, Tensor]:
        return {"c": capacity(output.ffn1_post_relu[-1], output.positions.words)}

    logits, scores = measured_scores(predictor, ragged_split, {"capacity"}, "ffn1_post_relu")
    other_logits, measures = predictor.measure(ragged_split, of)
    np.testing.assert_array_equal(scores["capacity"], measures["c"])
    np.testing.assert_array_equal(logits, other_logits)


@MODELS
def test_gradient_x_input_equals_a_leaf_for_every_embedding(
    ragged_split: EncodedSplit, preset: Preset, vmask: bool, layers: int
) -> None:
    model = exact_model(preset, vmask=vmask, layers=layers)
    classes = np.arange(ragged_split.examples) % 3
    found = predictor_of(model).gradient_x_input(ragged_split, classes)
    for row, (a, b) in enumerate(pairwise(ragged_split.offsets)):
        width = b - a if model.padding_aware else MAX_LEN
        ids = torch.zeros(max(1, width), dtype=torch.int64)
        ids[: b - a] = torch.from_numpy(ragged_split.tokens[a:b].astype(np.int64))
        leaf = (model.embedding(ids) * math.sqrt(8)).detach().requires_grad_()
        x = leaf
        if model.vmask is not None:
            x = x * torch.sigmoid(model.vmask(leaf))[:, None]
        x = (x + model.positions[: len(ids)])[None]
        for layer in model.layers:
            x = layer(x, (ids != 0)[None], None).block
        pooled = x[:, : b - a].mean(1) if model.padding_aware else x.mean(1)
        logit = model.fc(pooled)[0, classes[row]]
        if b > a:
            (gradient,) = torch.autograd.grad(logit, leaf)
            expected = (leaf.detach() * gradient).sum(-1).abs()[: b - a]
            np.testing.assert_allclose(found[a:b], expected, rtol=0, atol=1e-12)
    assert found.max() > 1e-2


def test_the_memory_bound_of_gradients_does_not_change_them(
    ragged_split: EncodedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exact_model()
    predictor = predictor_of(model, 60)
    batches: list[int] = []
    model.register_forward_hook(lambda _, ids, __: batches.append(ids[0].numel()))
    classes = np.zeros(ragged_split.examples, np.int64)
    at_once = predictor.gradient_x_input(ragged_split, classes)
    assert len(batches) == 1
    batches.clear()
    monkeypatch.setattr("safr_study.evaluation.prediction._GRADIENT_POSITIONS", 40)
    in_portions = predictor.gradient_x_input(ragged_split, classes)
    assert max(batches) <= 40
    np.testing.assert_allclose(in_portions, at_once, rtol=0, atol=1e-12)


def test_the_model_is_left_as_it_was(ragged_split: EncodedSplit) -> None:
    model = exact_model().train()
    predictor, state = predictor_of(model), torch.random.get_rng_state()
    classes = predictor.logits(ragged_split).argmax(axis=1)
    predictor.gradient_x_input(ragged_split, classes)
    with torch.no_grad():
        predictor.gradient_x_input(ragged_split, classes)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("what", ["logits", "gradients", "values of gate"])
def test_what_is_not_finite_fails_with_a_sentence(ragged_split: EncodedSplit, what: str) -> None:
    model = exact_model()
    predictor = predictor_of(model)
    act: dict[str, Callable[[], object]] = {
        "logits": lambda: predictor.logits(ragged_split),
        "gradients": lambda: predictor.gradient_x_input(
            ragged_split, np.zeros(ragged_split.examples, np.int64)
        ),
        "values of gate": lambda: predictor.measure(
            ragged_split, lambda o: {"gate": torch.where(o.positions.words, math.inf, 0.0)}
        ),
    }
    if "gate" not in what:
        with torch.no_grad():
            model.fc.weight[0, 0] = math.nan
    with pytest.raises(TrialFailure, match=f"the model's {what} are not finite"):
        act[what]()


@pytest.mark.parametrize("mode", MODES)
@MODELS
def test_deletions_run_together_are_those_run_alone(
    ragged_split: EncodedSplit, mode: DeletionMode, preset: Preset, vmask: bool, layers: int
) -> None:
    predictor = predictor_of(exact_model(preset, vmask=vmask, layers=layers))
    rng = np.random.default_rng(1)
    # One that deletes nothing, and one that is there twice.
    keeps = np.stack([rng.random(len(ragged_split.tokens)) < share for share in (0.5, 0.8, 1.1)])
    keeps = keeps[[0, 1, 2, 0]]
    known = predictor.logits(ragged_split)
    found = predictor.logits_of_each(ragged_split, keeps, mode, known=known)
    alone = [predictor.logits(ragged_split, keep, mode) for keep in keeps]
    np.testing.assert_allclose(found, alone, atol=1e-12)
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert (found[2] == known).all()


def test_a_text_that_loses_the_same_tokens_twice_is_run_once(
    ragged_split: EncodedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = predictor_of(exact_model())
    known = predictor.logits(ragged_split)
    run: list[int] = []
    whole = Predictor.measure

    def counting(self: Predictor, split: EncodedSplit, *rest: object) -> object:
        run.append(split.examples)
        return whole(self, split, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "measure", counting)
    keeps = np.ones((3, len(ragged_split.tokens)), dtype=bool)
    starts = ragged_split.offsets[:-1][ragged_split.lengths > 1]
    keeps[:2, starts] = False
    keeps[2, starts + 1] = False
    predictor.logits_of_each(ragged_split, keeps, known=known)
    assert run == [2 * len(starts)]
    monkeypatch.setattr("safr_study.evaluation.prediction._TOKENS_AT_ONCE", 1)
    predictor.logits_of_each(ragged_split, keeps, known=known)
    assert run[1:] == [len(starts)] * 3
