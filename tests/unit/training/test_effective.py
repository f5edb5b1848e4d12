from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_encoder import tiny_encoder

from safr_study.data import EncodedCorpus, EncodedSplit, batch_of, encode_corpus, load_corpus
from safr_study.model import (
    PretrainedClassifier,
    SafrClassifier,
    build_model,
    ffn1_weights,
    freeze_encoder,
    loss_terms,
    piece_counts,
)
from safr_study.records import TrialRecord, TrialState
from safr_study.records.run import EffectiveWeights
from safr_study.records.warnings import trial_warnings
from safr_study.settings import CorpusSpec, Penalties, TrainConfig
from safr_study.training import FitResult, effective, fit
from safr_study.training.effective import SEED, TEXTS, effective_weights
from safr_study.training.loop import initial_model
from safr_study.training.steps import losses_of

CPU = torch.device("cpu")
FIELDS = (
    *("effective_importance", "effective_interaction", "effective_information"),
    *("effective_l1", "effective_orthogonality"),
)
WEIGHTS = ("lambda_imp", "lambda_inter", "vmask_beta", "lambda_l1", "lambda_ortho")
TERMS = ("importance", "interaction", "vmask_information", "l1", "orthogonality")
RIVALS = {"lambda_l1": 0.4, "lambda_ortho": 5.0}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def changed(config: TrainConfig, **fields: Any) -> TrainConfig:
    plain = config.model_dump()
    for name, value in fields.items():
        nested = isinstance(value, dict)
        plain[name] = {**plain[name], **value} if nested else value
    return TrainConfig.parse(plain)


def model_of(config: TrainConfig, seed: int = 0) -> SafrClassifier:
    return build_model(
        config.shape, preset=config.preset, vocabulary_size=20, classes=2, max_len=8, seed=seed
    )


def weights_of(config: TrainConfig, split: EncodedSplit, model: SafrClassifier) -> EffectiveWeights:
    pad_to = 8 if config.preset == "reference" else None
    return effective_weights(config, split, model, device=CPU, pad_to=pad_to)


def by_hand(config: TrainConfig, split: EncodedSplit, model: SafrClassifier) -> list[float | None]:
    """A forward and a backward pass of its own for each term, norms entry by entry."""
    rows = np.random.default_rng(SEED).permutation(split.examples)[:TEXTS]
    rows = rows[np.argsort(split.lengths[rows], kind="stable")]
    length = 8 if config.preset == "reference" else max(split.lengths[rows])
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    for place, row in enumerate(rows):
        text = split.tokens[split.offsets[row] : split.offsets[row + 1]]
        ids[place, : len(text)] = torch.from_numpy(text.astype(np.int64))
    labels = torch.from_numpy(split.labels[rows])
    every = dict.fromkeys(WEIGHTS, 1.0)
    norms = []
    for term in ("cross_entropy", *TERMS):
        alone = copy.deepcopy(model).train()
        output = alone(ids, noise=torch.Generator().manual_seed(SEED), ffn1=True)
        penalties, rows = config.penalties.model_copy(update=every), ffn1_weights(alone)
        losses = loss_terms(output, labels, ids, penalties, config.preset, None, rows)
        if term not in losses:
            norms.append(math.nan)
            continue
        losses[term].backward()
        squares = [p.grad.double().square().sum() for p in alone.parameters() if p.grad is not None]
        norms.append(math.sqrt(sum(square.item() for square in squares)))
    given = [getattr(config.penalties, name) for name in WEIGHTS]
    return [
        weight * norm / norms[0] if weight and not math.isnan(norm) else None
        for weight, norm in zip(given, norms[1:], strict=True)
    ]


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_the_weights_are_those_of_separate_passes(
    config: TrainConfig,
    corpus: EncodedCorpus,
    preset: str,
    layers: int,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    config = changed(
        config,
        preset=preset,
        shape={"layers": layers, "ffn_topk": 0.6},
        penalties={"lambda_imp": 0.3, "lambda_inter": 0.7, "vmask_beta": 0.2, **RIVALS},
    )
    model = model_of(config).to(dtype)
    found = dataclasses.astuple(weights_of(config, corpus.train, model))
    assert found == pytest.approx(by_hand(config, corpus.train, model), rel=tolerance)
    assert min(found) > 0


def test_rivals_pull_without_vmask_too(config: TrainConfig, corpus: EncodedCorpus) -> None:
    penalties = {"lambda_imp": None, "lambda_inter": None, **RIVALS}
    config = changed(config, shape={"vmask": False}, penalties=penalties)
    model = model_of(config).double()
    found = dataclasses.astuple(weights_of(config, corpus.train, model))
    assert found[:3] == (None, None, None)
    assert found[3:] == pytest.approx(by_hand(config, corpus.train, model)[3:], rel=1e-9)
    assert min(found[3:]) > 0


def test_a_weight_is_proportional_to_its_lambda_alone(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    model = model_of(config)
    once = weights_of(config, corpus.train, model)
    for name, field in (("lambda_imp", "importance"), ("lambda_inter", "interaction")):
        twice = weights_of(changed(config, penalties={name: 0.2}), corpus.train, model)
        expected = dataclasses.replace(once, **{field: 2 * getattr(once, field)})
        assert twice == expected


def test_what_is_not_computed_has_no_weight(config: TrainConfig, corpus: EncodedCorpus) -> None:
    zero = {"lambda_imp": 0.0, "lambda_inter": 0.0}
    absent = {"lambda_imp": None, "lambda_inter": None}
    none = EffectiveWeights(None, None, None)
    for penalties, shape in ((zero, {}), (absent, {}), (absent, {"vmask": False})):
        without = changed(config, penalties=penalties, shape=shape)
        assert weights_of(without, corpus.train, model_of(without)) == none
    # Weights that a model without VMASK cannot use.
    idle = changed(config, shape={"vmask": False})
    assert weights_of(idle, corpus.train, model_of(idle)) == none
    half = changed(config, penalties={"lambda_imp": 0.0})
    found = weights_of(half, corpus.train, model_of(half))
    assert found.importance is None
    assert found.information is None
    assert found.interaction is not None


def test_a_ratio_that_is_no_number_is_none(config: TrainConfig, corpus: EncodedCorpus) -> None:
    # Certain and right about every text: float32 has no gradient of the cross-entropy left.
    one_class = dataclasses.replace(corpus.train, labels=np.zeros_like(corpus.train.labels))
    certain = model_of(config)
    with torch.no_grad():
        certain.fc.weight.zero_()
        certain.fc.bias.copy_(torch.tensor([200.0, -200.0]))
    assert weights_of(config, one_class, certain) == EffectiveWeights(None, None, None)
    broken = model_of(config)
    with torch.no_grad():
        broken.fc.weight.fill_(float("nan"))
    assert weights_of(config, one_class, broken) == EffectiveWeights(None, None, None)


def test_the_batch_is_that_of_the_corpus(config: TrainConfig, corpus: EncodedCorpus) -> None:
    model = model_of(config)
    found = weights_of(config, corpus.train, model)
    torch.manual_seed(5)
    another = changed(config, seed=11, batch_size=3, learning_rate=1e-2)
    assert weights_of(another, corpus.train, model) == found
    assert weights_of(config, corpus.dev, model) != found
    assert weights_of(config, corpus.train, model_of(config, seed=1)) != found


def test_fewer_texts_than_a_batch_are_all_used(config: TrainConfig) -> None:
    split = EncodedSplit(
        tokens=np.array([2, 3, 18, 4], dtype=np.int32),
        offsets=np.array([0, 0, 3, 4]),
        labels=np.array([0, 1, 0]),
    )
    config = changed(config, penalties={"vmask_beta": 0.1})
    model = model_of(config).double()
    found = dataclasses.astuple(weights_of(config, split, model))[:3]
    assert found == pytest.approx(by_hand(config, split, model)[:3], rel=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_everything_as_it_was(
    config: TrainConfig, corpus: EncodedCorpus, training: bool
) -> None:
    model = model_of(config).train(training)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    state = copy.deepcopy(model.state_dict())
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    weights_of(config, corpus.train, model)
    assert torch.equal(torch.rand(4), expected)
    assert model.training == training
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(bool((p.grad == 0.5).all()) for p in model.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("preset", ["masked", "reference"])
def test_training_is_the_same_bit_for_bit_without_the_measure(
    config: TrainConfig,
    corpus: EncodedCorpus,
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
) -> None:
    config = changed(config, preset=preset, epochs=2)
    with_it = fit(config, corpus, device=CPU)
    monkeypatch.setattr(
        "safr_study.training.loop.effective_weights", lambda *_, **__: EffectiveWeights()
    )
    without = fit(config, corpus, device=CPU)
    mine, theirs = with_it.model.state_dict(), without.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    left_out = dict.fromkeys((*FIELDS, "seconds"), 0.0)
    for first, second in zip(with_it.epochs, without.epochs, strict=True):
        assert first.effective_importance is not None
        assert second.effective_importance is None
        assert dataclasses.replace(first, **left_out) == dataclasses.replace(second, **left_out)


def test_an_epoch_reports_the_weights_of_its_model(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    config = changed(config, epochs=2, preset="reference", penalties={"vmask_beta": 0.1, **RIVALS})
    result = fit(config, corpus, device=CPU)
    last = tuple(getattr(result.epochs[-1], name) for name in FIELDS)
    assert last == dataclasses.astuple(weights_of(config, corpus.train, result.model))
    assert last != tuple(getattr(result.epochs[0], name) for name in FIELDS)


def test_a_resumed_training_reports_the_same_weights(
    config: TrainConfig, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    whole = fit(changed(config, epochs=3), corpus, device=CPU)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(changed(config, epochs=3), corpus, device=CPU, resume_from=tmp_path, on_epoch=stop)
    resumed = fit(changed(config, epochs=3), corpus, device=CPU, resume_from=tmp_path)
    for name in FIELDS:
        assert [getattr(e, name) for e in resumed.epochs] == [
            getattr(e, name) for e in whole.epochs
        ]
    assert len({epoch.effective_importance for epoch in whole.epochs}) == 3


@pytest.fixture(scope="module")
def planted() -> EncodedCorpus:
    spec = CorpusSpec(dataset="planted", train_limit=400, dev_limit=100)
    return encode_corpus(load_corpus(spec), spec)


def trial_of(result: FitResult) -> TrialRecord:
    return TrialRecord(0, TrialState.COMPLETE, parameters={}, seed=0, epochs=result.epochs)


def test_in_reference_the_interaction_penalty_is_inert_at_one(
    config: TrainConfig, planted: EncodedCorpus
) -> None:
    """Definitions, section 1: first-step gradient norms of CE 3.2, importance 721, inter 0.013."""
    config = changed(config, preset="reference", penalties={"lambda_imp": 1.0, "lambda_inter": 1.0})
    found = {}
    for scale in ("cell", "row"):
        config = changed(config, penalties={"interaction_scale": scale})
        model = build_model(
            config.shape,
            preset="reference",
            vocabulary_size=planted.vocabulary_size,
            classes=2,
            max_len=planted.max_len,
            seed=0,
        )
        found[scale] = effective_weights(
            config, planted.train, model, device=CPU, pad_to=planted.max_len
        )
    cell, row = found["cell"], found["row"]
    assert cell.interaction is not None
    assert cell.importance is not None
    assert 0 < cell.interaction < 0.01
    assert cell.importance > 10
    # The control: times the length it is not inert.
    assert row.interaction == pytest.approx(planted.max_len * cell.interaction, rel=1e-4)
    assert row.interaction > 0.05


def test_a_huge_lambda_imp_closes_the_gates_and_says_so(
    config: TrainConfig, planted: EncodedCorpus
) -> None:
    said = []
    for weight in (1000.0, 0.01):
        penalties = {"lambda_imp": weight, "lambda_inter": 0.0}
        wild = changed(config, penalties=penalties, epochs=3, learning_rate=0.05)
        said.append(trial_warnings(trial_of(fit(wild, planted, device=CPU))))
    (closed,) = said[0]
    assert closed.startswith("The gates have closed: the chosen epoch keeps ")
    assert "take smaller lambdas" in closed
    assert not any("closed" in sentence for sentence in said[1])


@pytest.fixture
def over_encoder(tmp_path: Path) -> EncodedCorpus:
    """40 short texts, cut by a random BERT."""
    words = ["a", "gripping", "superpositioned", "neurons", "film"]
    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(words, size=size)) for size in rng.integers(1, 12, size=40)]
    text = "".join(f"{row},{number % 2}\n" for number, row in enumerate(rows))
    (tmp_path / "x.csv").write_text("text,label\n" + text)
    encoder = str(tiny_encoder("bert", tmp_path / "bert"))
    spec = CorpusSpec(dataset=str(tmp_path / "x.csv"), encoder=encoder)
    return encode_corpus(load_corpus(spec), spec)


def test_over_an_encoder_only_the_weights_count_that_a_penalty_reaches(
    over_encoder: EncodedCorpus,
) -> None:
    config = TrainConfig(penalties=Penalties(lambda_imp=0.3, lambda_inter=0.7))
    model = initial_model(config, over_encoder)
    split, pieces = over_encoder.train, piece_counts(model)
    rows = np.random.default_rng(SEED).permutation(split.examples)[:TEXTS]
    batch = batch_of(split, rows[np.argsort(split.lengths[rows], kind="stable")], None, pieces)
    ids, labels = torch.from_numpy(batch.ids), torch.from_numpy(batch.labels)
    gradients: dict[str, dict[str, torch.Tensor]] = {}
    for term in ("cross_entropy", "importance", "interaction"):
        alone = copy.deepcopy(model).train()
        noise = torch.Generator().manual_seed(SEED)
        losses_of(config, ids, labels, alone, noise, None, batch.pieces)[term].backward()
        found = {name: p.grad for name, p in alone.named_parameters() if p.grad is not None}
        gradients[term] = {name: grad.to_dense().flatten() for name, grad in found.items()}

    def norm(term: str, names: Iterable[str]) -> float:
        return float(torch.cat([gradients[term][name] for name in names]).norm())

    found = effective_weights(config, split, model, device=CPU, pad_to=None)
    reached = {term: sorted(gradients[term]) for term in ("importance", "interaction")}
    for term, weight, ratio in (
        ("importance", 0.3, found.importance),
        ("interaction", 0.7, found.interaction),
    ):
        names = reached[term]
        expected = weight * norm(term, names) / norm("cross_entropy", names)
        assert ratio == pytest.approx(expected, rel=1e-4)
    # Most weights of the encoder are none of the importance's.
    assert len(reached["importance"]) < len(gradients["cross_entropy"]) / 2
    everywhere = 0.3 * norm("importance", reached["importance"])
    everywhere /= norm("cross_entropy", gradients["cross_entropy"])
    assert found.importance != pytest.approx(everywhere, rel=0.05)


def test_a_penalty_on_weights_that_are_not_trained_has_no_effect(
    over_encoder: EncodedCorpus,
) -> None:
    penalties = Penalties(lambda_imp=0.3, lambda_l1=1.0, lambda_ortho=1.0)
    config = TrainConfig(penalties=penalties, train_encoder="head")
    model = initial_model(config, over_encoder)
    assert isinstance(model, PretrainedClassifier)
    freeze_encoder(model)
    found = effective_weights(config, over_encoder.train, model, device=CPU, pad_to=None)
    assert found.orthogonality == 0.0
    # The gates are trained, and through them the activations.
    assert found.l1 is not None
    assert found.l1 > 0


def test_over_an_encoder_the_batch_has_no_more_positions_than_fit(
    over_encoder: EncodedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = over_encoder
    config = TrainConfig(penalties=Penalties(lambda_imp=0.1, lambda_inter=0.1))
    model = initial_model(config, corpus)
    drawn: list[list[int]] = []

    def seen(split: EncodedSplit, rows: Any, *more: Any) -> Any:
        drawn.append(rows.tolist())
        return batch_of(split, rows, *more)

    monkeypatch.setattr(effective, "batch_of", seen)
    order = np.random.default_rng(SEED).permutation(corpus.train.examples).tolist()
    pieces = np.diff(corpus.pieces.offsets)
    sizes = [sum(pieces[corpus.train.tokens[a:b]]) for a, b in pairwise(corpus.train.offsets)]
    for limit in (1, 100, 200, 2**12):
        monkeypatch.setattr(effective, "PIECES", limit)
        found = effective_weights(config, corpus.train, model, device=CPU, pad_to=None)
        assert found.importance is not None
        texts = drawn.pop()
        # The first of those that are always drawn, as many as fit, one at least.
        assert sorted(texts) == sorted(order[: len(texts)])
        longest = max(sizes[row] for row in texts)
        assert len(texts) == 1 or len(texts) * longest <= limit
        if len(texts) < TEXTS:
            one_more = max(longest, sizes[order[len(texts)]])
            assert (len(texts) + 1) * one_more > limit
    assert len(texts) == TEXTS == len(order[:TEXTS])
