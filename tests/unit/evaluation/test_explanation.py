from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import MAX_LEN, save_tiny_model

from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.data import EncodedSplit, encode_texts
from safr_study.errors import BadInput
from safr_study.evaluation.capacity import capacity
from safr_study.evaluation.explanation import explain_text
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores
from safr_study.model import SafrOutput
from safr_study.records.explanation import (
    ExplainedWord,
    Explanation,
    LayerView,
    explanation_to_plain,
)
from safr_study.settings import LAYERS

TEXT = "the film was good , and the bad film was unseen"
Load = Callable[..., LoadedModel]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Save a small untrained model and load it as `explain` does."""

    def made(**options: object) -> LoadedModel:
        return load_model(save_tiny_model(tmp_path / "model", **options))

    return made


def explain(loaded: LoadedModel, text: str, **options: object) -> Explanation:
    return explain_text(loaded, text, reference="model", **options)  # type: ignore[arg-type]


def forward(loaded: LoadedModel, text: str, length: int | None = None) -> SafrOutput:
    tokens, *_ = encode_texts([text], loaded.vocabulary, loaded.max_len)
    ids = torch.zeros(1, length or len(tokens), dtype=torch.int64)
    ids[0, : len(tokens)] = torch.from_numpy(tokens)
    with torch.inference_mode():
        output: SafrOutput = loaded.model(ids)
    return output


def plain_capacity(rows: np.ndarray) -> list[float]:
    """Equation 3 of the paper, word by word."""
    return [
        float(h @ h) ** 2 / sum(float(h @ other) ** 2 for other in rows) if h.any() else 0.0
        for h in rows
    ]


def test_the_numbers_are_those_of_the_forward_pass_and_of_the_evaluation(load: Load) -> None:
    loaded = load()
    found = explain(loaded, TEXT)
    output = forward(loaded, TEXT)
    rows = output.ffn1_pre_relu[-1]
    assert [word.text for word in found.words] == TEXT.split()
    capacities = np.array([word.capacity for word in found.words])
    mask = torch.ones(rows.shape[:2], dtype=torch.bool)
    np.testing.assert_array_equal(capacities, capacity(rows, mask)[0].numpy())
    exact = rows[0].double().numpy()
    np.testing.assert_allclose(capacities, plain_capacity(exact), rtol=1e-9)
    np.testing.assert_array_equal(found.view.capacity, capacities)
    after = output.ffn1_post_relu[-1][0].double().numpy()
    assert not np.allclose(capacities, plain_capacity(after), atol=0.01)

    dot = exact @ exact.T
    norms = np.sqrt(np.diag(dot))
    np.testing.assert_allclose(found.view.dot, dot, rtol=1e-12)
    np.testing.assert_allclose(found.view.interference, dot**2, rtol=1e-12)
    np.testing.assert_allclose(found.view.cosine, dot / norms / norms[:, None], rtol=1e-9)
    assert output.keep_probability is not None
    keep = [word.keep_probability for word in found.words]
    np.testing.assert_allclose(keep, output.keep_probability[0].numpy(), rtol=1e-6)

    tokens, offsets, _ = encode_texts([TEXT], loaded.vocabulary, loaded.max_len)
    split = EncodedSplit(tokens=tokens, offsets=offsets, labels=np.zeros(1, np.int64))
    predictor = Predictor(loaded.model, 128, None, torch.device("cpu"))
    logits, scores = measured_scores(predictor, split, {"capacity"}, "ffn1_pre_relu")
    scored = scores["capacity"]
    np.testing.assert_allclose(capacities, scored, rtol=1e-6)
    probabilities = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert [name for name, _ in found.probabilities] == ["bad", "fair", "good"]
    np.testing.assert_allclose([p for _, p in found.probabilities], probabilities, rtol=1e-6)
    assert found.prediction == loaded.class_names[int(logits[0].argmax())]
    assert found.probability == pytest.approx(probabilities.max())


def test_ranks_fall_with_capacity_and_the_top_30_percent_are_marked(load: Load) -> None:
    words = explain(load(), TEXT).words
    by_rank = sorted(words, key=lambda word: word.rank)
    assert [word.rank for word in by_rank] == list(range(11))
    assert [word.capacity for word in by_rank] == sorted((w.capacity for w in words), reverse=True)
    # round(3.3)
    assert [word.rank for word in by_rank if word.top] == [0, 1, 2]


def test_equal_words_of_a_bag_share_their_capacity_and_rank_by_position(load: Load) -> None:
    # In the embedding positions play no part.
    found = explain(load(), "good good good", layer="embedding")
    np.testing.assert_allclose([word.capacity for word in found.words], 1 / 3)
    assert [word.rank for word in found.words] == [0, 1, 2]


def test_every_layer_of_every_block_is_measured(load: Load) -> None:
    loaded = load(layers=3)
    found = explain(loaded, TEXT, all_layers=True)
    inner = [layer for layer in LAYERS if layer not in ("embedding", "vmask")]
    assert [(view.layer, view.block) for view in found.layers] == [
        ("embedding", 0),
        ("vmask", 0),
        *((layer, block) for block in range(3) for layer in inner),
    ]
    output = forward(loaded, TEXT)
    expected = {"embedding": (output.embeddings,), "vmask": (output.masked_embeddings,)}
    expected |= {
        "attention": output.attention_output,
        "ffn1_pre": output.ffn1_pre_relu,
        "ffn1_post": output.ffn1_post_relu,
        "ffn2": output.ffn2,
        "block": output.block,
    }
    for view in found.layers:
        rows = expected[view.layer][view.block][0].double().numpy()
        np.testing.assert_allclose(view.capacity, plain_capacity(rows), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(view.dot, rows @ rows.T, rtol=1e-9, atol=1e-12)
    assert (found.view.layer, found.view.block) == ("ffn1_pre", 2)
    assert found.view in found.layers
    assert found.layer_title == "FFN1 before ReLU, block 3"


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_can_be_chosen(load: Load, layer: str) -> None:
    found = explain(load(layers=2), TEXT, layer=layer)
    assert found.view.layer == layer
    assert found.view.block == (0 if layer in ("embedding", "vmask") else 1)
    assert [word.capacity for word in found.words] == found.view.capacity.tolist()
    assert found.layers == ()


def test_a_model_without_vmask_has_no_keep_probability(load: Load) -> None:
    loaded = load(vmask=False)
    found = explain(loaded, TEXT, all_layers=True)
    assert {word.keep_probability for word in found.words} == {None}
    assert "vmask" not in {view.layer for view in found.layers}
    assert any("no VMASK" in note for note in found.notes)
    with pytest.raises(BadInput, match="layer: vmask"):
        explain(loaded, TEXT, layer="vmask")


def test_a_reference_model_sees_the_text_padded(load: Load) -> None:
    loaded = load(preset="reference")
    found = explain(loaded, TEXT)
    padded = forward(loaded, TEXT, MAX_LEN)
    count = len(TEXT.split())
    rows = padded.ffn1_pre_relu[-1][0, :count].double().numpy()
    np.testing.assert_allclose([w.capacity for w in found.words], plain_capacity(rows), rtol=1e-9)
    expected = torch.softmax(padded.logits[0].double(), 0).tolist()
    assert [p for _, p in found.probabilities] == pytest.approx(expected)
    bare = torch.softmax(forward(loaded, TEXT).logits[0].double(), 0).tolist()
    assert [p for _, p in found.probabilities] != pytest.approx(bare, rel=1e-4)


def test_an_empty_text_is_decided_by_the_bias(load: Load) -> None:
    loaded = load()
    found = explain(loaded, "  \n ", all_layers=True)
    assert found.words == ()
    bias = torch.softmax(loaded.model.fc.bias.detach().double(), 0).tolist()
    assert [p for _, p in found.probabilities] == pytest.approx(bias)
    assert found.notes == ("The text has no word: the bias of the classifier alone decides.",)
    plain = explanation_to_plain(found)
    assert (plain["words"], plain["pairs"]["dot"]) == ([], [])
    other = explain(load(preset="reference"), "")
    assert other.notes == ("The text has no word: this is the model's answer to padding alone.",)


def test_what_is_cut_off_and_what_is_unknown_is_said(load: Load) -> None:
    loaded = load()
    found = explain(loaded, " ".join(["good"] * 20))
    assert (len(found.words), found.words_cut) == (16, 4)
    assert found.notes == ("Only the first 16 of 20 words were read: this model takes no more.",)
    found = explain(loaded, TEXT)
    assert [word.text for word in found.words if not word.known] == ["unseen"]
    assert found.notes == ("1 word is not in the model's vocabulary.",)
    found = explain(loaded, "quux quuz")
    assert found.notes == (
        "No word is in the model's vocabulary: it sees the same unknown word each time.",
    )
    # They differ by their positions alone.
    assert explain(loaded, "quux quuz", layer="embedding").view.cosine[0, 1] == pytest.approx(1)


def test_one_word_has_all_of_its_capacity(load: Load) -> None:
    [word] = explain(load(), "good").words
    assert (word.capacity, word.rank, word.top) == (pytest.approx(1.0), 0, False)


def test_numbers_that_are_none_are_refused(load: Load) -> None:
    loaded = load()
    with torch.no_grad():
        loaded.model.embedding.weight[7].fill_(float("nan"))
    with pytest.raises(BadInput, match=r"model: .*not finite"):
        explain(loaded, "good")


def test_the_plain_form_holds_every_number(load: Load) -> None:
    found = explain(load(), TEXT, all_layers=True)
    plain = json.loads(json.dumps(explanation_to_plain(found), allow_nan=False))
    assert plain["prediction"] == found.prediction
    assert plain["probabilities"] == dict(found.probabilities)
    assert plain["words"][3] == {
        "position": 3,
        "before": " ",
        "text": "good",
        "known": True,
        "capacity": found.words[3].capacity,
        "rank": found.words[3].rank,
        "top": found.words[3].top,
        "keep_probability": found.words[3].keep_probability,
    }
    assert (plain["layer"], plain["block"]) == ("ffn1_pre", 0)
    for name in ("dot", "cosine", "interference"):
        np.testing.assert_array_equal(plain["pairs"][name], getattr(found.view, name))
    assert [layer["layer"] for layer in plain["layers"]] == list(LAYERS)
    np.testing.assert_array_equal(plain["layers"][5]["capacity"], found.layers[5].capacity)
    assert plain["model"]["epoch"] == 2
    assert plain["model"]["dataset"] == "planted"


def test_a_zero_row_has_no_cosine() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    view = LayerView(layer="vmask", block=0, capacity=np.array([0.5, 0.0, 0.8]), dot=rows @ rows.T)
    assert np.isnan(view.cosine[1]).all()
    assert np.isnan(view.cosine[:, 1]).all()
    assert view.cosine[0, 2] == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<b>&'\"", "<b>&'\""),
        ("\x1b[31mred", "␛[31mred"),
        ("nul\x00", "nul␀"),
        ("\x7f\x9b", "\ufffd\ufffd"),
        ("\u202egnihton\u2066", "\ufffdgnihton\ufffd"),
        ("שלום", "שלום"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\ufffe\ud800", "\ufffd\ufffd"),
    ],
)
def test_words_are_shown_without_what_would_disturb(text: str, shown: str) -> None:
    word = ExplainedWord(0, "", text, True, 0.5, 0, False, None)
    assert word.shown == shown
    assert word.text == text


def test_the_text_is_kept_as_typed_around_its_words(load: Load) -> None:
    typed = "  It  was\n“good”, \t film "
    found = explain(load(), typed)
    assert found.text == typed
    assert [word.text for word in found.words] == typed.split()
    cut = explain(load(), " word" * (found.source.max_len + 3))
    assert (cut.words_cut, cut.after) == (3, " word" * 3)
