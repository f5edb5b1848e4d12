"""What neurons cause, held against models whose causes are known and against slow oracles."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hand_set_model import WORDS, cue_scores, cue_split, hand_set
from numpy.typing import NDArray
from pairs import random_pairs
from torch import Tensor, nn

from safr_study.data import EncodedSplit
from safr_study.errors import TrialFailure
from safr_study.evaluation.causes import cause_measures
from safr_study.evaluation.deletion import random_scores
from safr_study.evaluation.neuron_sets import KEPT, OtherNeurons, holding_half
from safr_study.evaluation.neurons import Passes, Site, Sums, Variant
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.replacements import batches, read_replacements
from safr_study.model import Classifier, PieceTable, SafrClassifier, build_model
from safr_study.model.pretrained import PretrainedClassifier
from safr_study.records import Measure
from safr_study.settings import REPLACEMENTS, EncoderShape, EvaluationConfig, ModelShape

SHARES = (0.2, 0.5)
Floats = NDArray[np.float64]


def scratch(
    *, layers: int = 1, preset: str = "masked", pairs: bool = False, ffn_topk: float = 1.0
) -> SafrClassifier:
    shape = ModelShape(
        embed_dim=8, ffn_dim=16, heads=2, mask_hidden_dim=6, layers=layers, ffn_topk=ffn_topk
    )
    model = build_model(
        shape, preset=preset, vocabulary_size=WORDS, classes=2, max_len=20, seed=1, pairs=pairs
    )  # type: ignore[call-overload]
    return model.double().eval()


def encoder(*, pooling: str = "mean", word_vector: str = "mean") -> PretrainedClassifier:
    """Words of one to three pieces; weights far from zero."""
    counts = np.arange(WORDS) % 3 + 1
    counts[0] = 0
    offsets = np.concatenate(([0], np.cumsum(counts)))
    pieces = np.random.default_rng(0).integers(5, 40, offsets[-1])
    files = EncoderShape(
        family="bert", pieces=40, embed_dim=8, piece_dim=8, ffn_dim=16, heads=2, layers=2,
        positions=64, segments=2, begin=1, end=2, pad=0, hidden=3,
    )  # fmt: skip
    shape = ModelShape(mask_hidden_dim=6, pooling=pooling, word_vector=word_vector)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        table = PieceTable(torch.tensor(offsets), torch.tensor(pieces))
        model = PretrainedClassifier(files, shape, classes=2, table=table)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def predictor(model: nn.Module, pad_to: int | None = None) -> Predictor:
    return Predictor(model, 16, pad_to, torch.device("cpu"))


def causes(
    model: nn.Module,
    split: EncodedSplit,
    scores: Floats,
    shares: tuple[float, ...] = SHARES,
    **more: Any,
) -> dict[str, Measure]:
    config = EvaluationConfig(seed=5, **more)
    return cause_measures(predictor(model), split, config, shares, scores=scores, train=None)


def shuffled(split: EncodedSplit, draw: int = 99) -> Floats:
    return random_scores(split.offsets, 0.0, draw, seed=1)


def whole_margins(model: Classifier, split: EncodedSplit) -> Floats:
    logits = predictor(model).logits(split)
    return np.abs(logits[:, 1] - logits[:, 0])


def test_the_one_neuron_that_carries_the_class_has_its_margin_as_effect() -> None:
    model, split = hand_set(), cue_split()
    found = causes(model, split, cue_scores(split), (0.3,))
    margin = whole_margins(model, split)
    has_cue = np.isin(np.arange(60) % 2, 0)
    # Without the neuron the bias alone is left: class 0 by 0.5.
    lost = np.where(has_cue, margin + 0.5, 0.0)
    expected = lost.mean() / margin.std(ddof=1)
    assert found["neuron_effect_zero@30"].value == pytest.approx(expected)
    assert found["neuron_effect_zero_flips@30"].value == 50.0
    assert found["neuron_effect_zero_p@30"].value == 0.0
    assert found["neurons_chosen@30"].value > 1, "other words hold their half in several"
    for by in ("", "_resample"):
        assert found[f"neuron_effect{by}@30"].value > 0.5
        assert found[f"neuron_effect{by}_p@30"].value == 0.0


def test_neurons_that_the_classifier_does_not_read_have_no_effect() -> None:
    # The cues are at the bottom now: T has other words, whose neurons write elsewhere.
    model, split = hand_set(), cue_split()
    found = causes(model, split, -cue_scores(split), (0.3,))
    assert found["neuron_effect_zero@30"].value == pytest.approx(0.0, abs=1e-12)
    assert found["neuron_effect@30"].value == pytest.approx(0.0, abs=0.02), "0 is not the mean"
    assert found["neuron_sufficiency_zero@30"].value < 0.1
    # Where the classifier reads what they write, they have.
    read = causes(hand_set(reads=7), split, -cue_scores(split), (0.3,))
    assert abs(read["neuron_effect_zero@30"].value) > 0.01


def test_the_neurons_of_the_cues_alone_keep_the_margin() -> None:
    model, split = hand_set(), cue_split()
    found = causes(model, split, cue_scores(split), (0.3,))
    assert found["neuron_sufficiency_zero@30"].value == pytest.approx(1.0)
    assert found["neuron_sufficiency@30"].value != pytest.approx(1.0), "the mean is no zero"


def test_capacity_effect_of_a_random_ranking_is_zero_in_expectation() -> None:
    model, split = hand_set(), cue_split(300)
    by_cues = causes(model, split, cue_scores(split), (0.3,))
    of_draws = [causes(model, split, shuffled(split, draw), (0.3,)) for draw in range(70, 74)]
    for by in ("", "_zero", "_resample"):
        effects = [one[f"capacity_effect{by}@30"] for one in of_draws]
        mean = np.mean([one.value for one in effects])
        error = np.mean([one.se for one in effects]) / np.sqrt(len(effects))
        assert abs(mean) < 3 * error
        assert by_cues[f"capacity_effect{by}@30"].value > 10 * error


@pytest.mark.parametrize("made", [scratch, encoder])
def test_a_small_change_is_that_of_the_gradient(made: Callable[[], Classifier]) -> None:
    """D of a set agrees with a_ij v_j . (gradient at FFN2's output) where little is taken away."""
    model, split = made(), random_split()
    site = Site(predictor(model), len(model.layers) - 1)
    of = predictor(model)
    batch = of.batch(split, np.arange(8))
    with of.measuring():
        read = site.read(batch)
    neurons = torch.rand(16, generator=torch.Generator().manual_seed(3)) < 0.4
    small = 1e-5
    words = torch.arange(0, len(read.text), 2)
    variant = Variant(
        words, lambda: neurons.expand(len(words), -1), lambda: (1 - small) * read.vectors[words]
    )
    put_in = torch.zeros(len(read.text), dtype=torch.bool)
    put_in[words] = True
    patches = Sums(site, read)
    patches.add("less", variant)
    moved = patches.logits(("less", put_in)) - read.logits

    kept: list[Tensor] = []
    layer = model.layers[-1]
    ffn2 = layer.linear2 if isinstance(model, PretrainedClassifier) else layer.ff.linear2

    def keep(_: nn.Module, __: object, out: Tensor) -> Tensor:
        kept.append(out.detach().requires_grad_())
        return kept[0]

    with torch.enable_grad():
        hook = ffn2.register_forward_hook(keep)
        more = {"pieces": batch.pieces} if isinstance(model, PretrainedClassifier) else {}
        logits = model(torch.from_numpy(batch.ids), **more).logits
        hook.remove()
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), kept[0])
    flat = gradient.flatten(0, 1)[read.place]  # [R, E]
    at = read.activations.flatten(0, 1)[read.place]
    change = (1 - small) * read.vectors[read.word] - at
    change = change * neurons * put_in[read.word][:, None]
    by_row = (change @ ffn2.weight.t() * flat).sum(dim=1)
    expected = torch.zeros(8, dtype=by_row.dtype).index_add_(0, read.text[read.word], by_row)
    if isinstance(model, SafrClassifier):
        assert torch.allclose(moved[:, 1], expected, rtol=1e-3, atol=1e-12)
        wrong = (change.flip(1) @ ffn2.weight.t() * flat).sum(dim=1)
        wrong = torch.zeros(8, dtype=by_row.dtype).index_add_(0, read.text[read.word], wrong)
        assert not torch.allclose(moved[:, 1], wrong, rtol=1e-1, atol=1e-12)
    else:
        # Pieces are not their words' means: the change is no small one.
        assert torch.sign(moved[:, 1]).ne(0).any()


def random_split(texts: int = 24, seed: int = 3) -> EncodedSplit:
    rng = np.random.default_rng(seed)
    lengths = np.concatenate((rng.integers(2, 10, texts - 2), [0, 1]))
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return EncodedSplit(
        tokens=rng.integers(2, WORDS, offsets[-1]).astype(np.int32),
        offsets=offsets,
        labels=rng.integers(0, 2, texts),
    )


def test_numbers_of_neurons_and_their_scale_change_nothing() -> None:
    split = random_split()
    before = causes(scratch(), split, shuffled(split))
    order = torch.from_numpy(np.random.default_rng(0).permutation(16))
    scale = 2.0 ** torch.randint(-3, 4, (16,), generator=torch.Generator().manual_seed(0)).double()
    numbered, scaled, spoilt = scratch(), scratch(), scratch()
    with torch.no_grad():
        for model in (numbered, scaled, spoilt):
            first, second = model.layers[0].ff.linear1, model.layers[0].ff.linear2
            if model is scaled:
                first.weight *= scale[:, None]
                first.bias *= scale
                second.weight /= scale
                continue
            second.weight.copy_(second.weight[:, order])
            if model is numbered:
                first.weight.copy_(first.weight[order])
                first.bias.copy_(first.bias[order])
    for model in (numbered, scaled):
        found = causes(model, split, shuffled(split))
        assert found.keys() == before.keys()
        for name, measure in before.items():
            assert found[name].value == pytest.approx(measure.value, abs=1e-9), name
    other = causes(spoilt, split, shuffled(split))
    assert other["neuron_effect@50"].value != pytest.approx(before["neuron_effect@50"].value)


def oracle(
    model: SafrClassifier,
    split: EncodedSplit,
    scores: Floats,
    k: float,
    value: Tensor,
    topk: float,
) -> dict[str, Floats]:
    """Margins of each text, whole and with neurons, words and all the rest replaced, one by one.

    What is put in is not cut to the top k of neurons again.
    """
    (block,) = model.layers
    found: dict[str, list[float]] = {"whole": [], "neurons": [], "words": [], "rest": []}
    size = torch.linalg.vector_norm(block.ff.linear2.weight, dim=0)
    for row, (start, end) in enumerate(itertools.pairwise(split.offsets)):
        n = int(end - start)
        ids = torch.from_numpy(split.tokens[start:end].astype(np.int64))[None]
        ids = ids if n else torch.zeros(1, 1, dtype=torch.int64)
        given: list[Tensor] = []
        hook = block.ff.register_forward_pre_hook(lambda _, x, to=given: to.append(x[0][0]))
        with torch.no_grad():
            logits = model(ids).logits[0]
        hook.remove()
        y = given[0]
        best = int(logits.argmax())
        top = np.argsort(-scores[start:end], kind="stable")[: round(k * n)]
        activations = torch.relu(y @ block.ff.linear1.weight.T + block.ff.linear1.bias).detach()
        for place, a in enumerate(activations.tolist()):
            small = sorted(range(16), key=a.__getitem__)[: 16 - round(16 * topk)]
            activations[place, small] = 0.0
        chosen = torch.zeros(y.shape[0], 16, dtype=torch.bool)
        for i in top:
            held = (activations[i] * size).tolist()
            order = sorted(range(16), key=lambda j: -held[j])
            total = 0.0
            for j in order:
                if total >= sum(held) / 2:
                    break
                chosen[i, j] = True
                total += held[j]
        words = torch.zeros_like(chosen)
        words[top] = True
        inside = torch.zeros_like(chosen)
        inside[:n] = True
        for name, where in {
            "whole": torch.zeros_like(chosen),
            "neurons": chosen,
            "words": words,
            "rest": inside & ~chosen,
        }.items():
            a = torch.where(where, value, activations)
            with torch.no_grad():
                x = block.norm2(y + a @ block.ff.linear2.weight.T + block.ff.linear2.bias)
                pooled = x.mean(dim=0) if n else torch.zeros(8, dtype=x.dtype)
                after = model.fc.weight @ pooled + model.fc.bias
            found[name].append(float(after[best] - after[1 - best]))
        assert row < split.examples
    return {name: np.array(values) for name, values in found.items()}


@pytest.mark.parametrize("topk", [1.0, 0.25])
def test_chosen_sets_are_those_of_an_oracle_text_by_text(topk: float) -> None:
    model, split = scratch(ffn_topk=topk), random_split()
    scores = shuffled(split)
    found = causes(model, split, scores)
    of = predictor(model)
    with of.measuring():
        values = read_replacements(of, Site(of, 0), split, None, seed=5)
    assert values is not None
    every = torch.cat([Site(of, 0).read(batch).vectors for batch, _ in batches(of, split)]).detach()
    assert torch.allclose(values.mean, every.mean(dim=0))
    for by, value in (("", values.mean.clone()), ("_zero", torch.zeros(16).double())):
        for k in SHARES:
            slow = oracle(model, split, scores, k, value, topk)
            kept = slow["rest"].mean() / slow["whole"].mean()
            percent = f"{100 * k:g}"
            assert found[f"neuron_sufficiency{by}@{percent}"].value == pytest.approx(kept)
            for name, kind in (("neuron_effect", "neurons"), ("capacity_effect", "words")):
                flips = 100 * (slow[kind] < 0).mean()
                assert found[f"{name}{by}_flips@{percent}"].value == pytest.approx(flips)
    slow = oracle(model, split, scores, 0.5, values.mean.clone(), topk)
    assert (slow["whole"] - slow["neurons"]).std() > 1e-3, "something is measured"


MODELS: dict[str, tuple[Callable[[], Classifier], EncodedSplit]] = {
    "scratch": (scratch, random_split()),
    "reference": (lambda: scratch(preset="reference"), random_split()),
    "top-k": (lambda: scratch(ffn_topk=0.3), random_split()),
    "pairs": (lambda: scratch(pairs=True), random_pairs(20, words=WORDS)),
    "encoder": (encoder, random_split()),
    "first pieces": (lambda: encoder(word_vector="first"), random_split()),
    "cls": (lambda: encoder(pooling="cls"), random_split()),
}


@pytest.mark.parametrize("name", MODELS)
def test_sums_over_words_are_what_passes_of_the_model_give(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, split = MODELS[name]
    model = made()
    summed = causes(model, split, shuffled(split), (0.4,))
    monkeypatch.setattr(Site, "patches", lambda self, batch, read: Passes(self, batch, read))
    passed = causes(model, split, shuffled(split), (0.4,))
    assert summed.keys() == passed.keys()
    for metric, measure in summed.items():
        assert measure.value == pytest.approx(passed[metric].value, abs=1e-9), metric
    if name == "cls":
        assert summed["capacity_effect@40"].value == pytest.approx(0.0, abs=1e-12)
    else:
        assert abs(summed["capacity_effect_zero@40"].value) > 1e-6


def test_an_earlier_block_is_measured_where_capacity_is() -> None:
    model, split = scratch(layers=2), random_split()
    first = causes(model, split, shuffled(split), capacity_layer="ffn1_pre_relu:1")
    last = causes(model, split, shuffled(split))
    assert first.keys() == last.keys()
    assert first["neuron_effect@50"].value != pytest.approx(last["neuron_effect@50"].value)


def test_neurons_that_hold_half_are_the_fewest() -> None:
    rng = torch.Generator().manual_seed(0)
    vectors, columns = torch.randn(50, 6, generator=rng), torch.randn(3, 6, generator=rng)
    vectors[7] = 0
    chosen = holding_half(vectors, columns)
    held = vectors.double().abs() * columns.double().norm(dim=0)
    for word in range(50):
        total, most = held[word].sum(), int(chosen[word].sum())
        assert held[word][chosen[word]].sum() >= total / 2
        if most:
            largest = held[word].sort(descending=True).values
            assert largest[: most - 1].sum() < total / 2
    assert not chosen[7].any()


def test_other_neurons_are_as_many_and_close_where_some_are() -> None:
    rng = torch.Generator().manual_seed(0)
    vectors, columns = torch.rand(40, 60, generator=rng), torch.randn(5, 60, generator=rng)
    chosen = torch.rand(40, 60, generator=rng) < 0.2
    sets = OtherNeurons(torch.rand(60, generator=rng), columns, seed=0).of(vectors, chosen)
    wanted = torch.linalg.vector_norm((vectors * chosen) @ columns.T, dim=1)
    gaps = []
    for number in range(KEPT):
        taken = sets.neurons(number)
        assert not (taken & chosen).any()
        assert torch.equal(taken.sum(dim=1), chosen.sum(dim=1))
        summed = torch.linalg.vector_norm((vectors * taken) @ columns.T, dim=1)
        gaps.append((summed - wanted).abs() / wanted)
    found = torch.stack(gaps)
    assert torch.equal(found <= 0.05, sets.matches)
    assert bool(sets.matches[0].any())
    assert not bool(sets.matches[-1].all())
    assert bool((found.diff(dim=0)[~sets.matches[:-1]] >= 0).all()), "the nearest first"


def test_other_tokens_are_of_other_texts() -> None:
    model, split = scratch(), random_split()
    of = predictor(model)
    with of.measuring():
        values = read_replacements(of, Site(of, 0), split, None, seed=0)
        trained = read_replacements(of, Site(of, 0), split, random_split(seed=8), seed=0)
    assert values is not None
    assert trained is not None
    text = np.repeat(np.arange(split.examples), split.lengths)
    # Entry s is of the s-th text that is not empty.
    full = np.flatnonzero(split.lengths)
    drawn = full[values.drawn.numpy()]
    assert (drawn != text[:, None]).all()
    assert len(np.unique(drawn)) == len(full)
    assert not torch.allclose(values.mean, trained.mean)


def test_too_little_to_measure_gives_no_number() -> None:
    one = random_split(3)
    (alone,) = [i for i in range(3) if one.lengths[i] > 1]
    assert alone == 0
    single = EncodedSplit(one.tokens[: one.offsets[1]], one.offsets[:2], one.labels[:1])
    assert causes(scratch(), single, np.zeros(len(single.tokens))) == {}


def test_what_is_not_finite_is_a_sentence() -> None:
    model, split = scratch(), random_split()
    with torch.no_grad():
        model.layers[0].ff.linear2.weight[0, 0] = torch.nan
    with pytest.raises(TrialFailure, match="not finite"):
        causes(model, split, shuffled(split))


def test_a_part_of_the_texts_is_measured_on_request() -> None:
    split = random_split(40)
    found = causes(scratch(), split, shuffled(split), cause_texts=10)
    every = causes(scratch(), split, shuffled(split))
    assert found["neuron_effect@50"] != every["neuron_effect@50"]
    assert causes(scratch(), split, shuffled(split)) == every, "the same at each call"
    assert {f"neuron_effect{by}@50" for by in ("", "_zero", "_resample")} <= found.keys()
    assert REPLACEMENTS == ("mean", "zero", "resample")
