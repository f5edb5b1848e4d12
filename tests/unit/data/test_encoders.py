"""The files of pretrained encoders: those that fit, and each way in which they may not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tiny_encoder import FAMILIES, TEXTS, oracle, tiny_encoder

from safr_study.data import (
    Corpus,
    PieceTokenizer,
    Split,
    encode_corpus,
    encoded_corpus,
    find_encoder,
    fitting,
    read_encoder,
)
from safr_study.data.encoder_files import canonical_encoder
from safr_study.errors import BadInput, BadInputs
from safr_study.settings import UNK, CorpusSpec

Spoil = Callable[[Path], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder("bert", tmp_path_factory.mktemp("encoder") / "bert")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bert"))


def change(**fields: object) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        config = {**json.loads(path.read_text()), **fields}
        path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))

    return spoil


def remove(name: str, *, pickle: bool = False) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        if pickle:
            (folder / "pytorch_model.bin").write_bytes(b"\x80\x02.")

    return spoil


def cut(name: str, size: int) -> Spoil:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size]) and None


def without_weight(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, path)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (shutil.rmtree, "there is no folder"),
        (remove("config.json"), "has no config.json; give a whole encoder"),
        (remove("tokenizer.json"), "has no tokenizer.json; write it: python -c"),
        (remove("model.safetensors"), "has no model.safetensors; give a whole encoder"),
        (remove("model.safetensors", pickle=True), "as a pickle .*; convert them where you trust"),
        (
            change(model_type="gpt2"),
            "of the kind 'gpt2'.* one of bert, distilbert, roberta, electra",
        ),
        (change(model_type=None), "of the kind None"),
        (change(hidden_act="silu"), "activation 'silu', which is not known"),
        (change(position_embedding_type="relative_key"), "relative positions"),
        (change(hidden_size=None), "does not say 'hidden_size'"),
        (change(num_attention_heads="many"), "no fitting heads"),
        (change(num_attention_heads=5), "no fitting heads"),
        (change(vocab_size=3), "more pieces than config.json says"),
        (change(hidden_size=24, num_attention_heads=4), "config.json says .* not of one encoder"),
        (change(num_hidden_layers=3), "has no encoder.layer.2.* not of one encoder"),
        (cut("config.json", 20), "config.json .* cannot be read"),
        (cut("tokenizer.json", 20), "tokenizer.json .* cannot be read"),
        (cut("model.safetensors", 500), "model.safetensors .* cannot be read"),
        (without_weight, "has no encoder.layer.1.output.dense.weight"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(folder: Path, spoil: Spoil, sentence: str) -> None:
    spoil(folder)
    with pytest.raises(BadInput, match=rf"^encoder: .*{sentence}") as told:
        read_encoder(folder)
    assert told.value.exit_code == 2
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_word_has_the_pieces_that_the_library_gives_it(family: str, tmp_path: Path) -> None:
    folder = tiny_encoder(family, tmp_path / family)
    files = read_encoder(folder)
    _, library = oracle(folder)
    words = sorted({word for text in TEXTS for word in text.split()})
    ours = files.tokenizer()
    ours.learn(words)
    for place, word in enumerate(words, start=2):
        expected = library([word], is_split_into_words=True, add_special_tokens=False).input_ids
        assert pieces_of(ours, place) == expected
    assert pieces_of(ours, 0) == []
    assert pieces_of(ours, UNK) == [files.shape.hidden]


def pieces_of(tokenizer: PieceTokenizer, word: int) -> list[int]:
    return tokenizer.pieces[tokenizer.offsets[word] : tokenizer.offsets[word + 1]].tolist()


def test_words_learned_later_leave_those_before_as_they_were(made: Path) -> None:
    tokenizer = read_encoder(made).tokenizer()
    tokenizer.learn(["funny", "film."])
    before = [pieces_of(tokenizer, word) for word in range(4)]
    tokenizer.learn(["film.", "neurons", "funny"])
    assert tokenizer.words[2:] == ["funny", "film.", "neurons"]
    assert [pieces_of(tokenizer, word) for word in range(4)] == before
    # A sign that the tokenizer drops is not nothing.
    tokenizer.learn(["\x00", "😀"])
    assert pieces_of(tokenizer, 5) == pieces_of(tokenizer, UNK)
    assert tokenizer.spelled().tolist() == [False, False, True, True, True, True, False]


def test_a_text_is_cut_before_the_first_word_without_room() -> None:
    pieces = np.array([0, 1, 1, 3, 1])
    tokens = np.array([2, 3, 4, 3, 2, 4, 4], dtype=np.int32)
    offsets = np.array([0, 3, 3, 5, 7])
    kept, ends = fitting(tokens, offsets, pieces[tokens], 3)
    assert kept.tolist() == [2, 3, 4, 4]
    assert ends.tolist() == [0, 1, 1, 2, 4]
    whole, same = fitting(tokens, offsets, pieces[tokens], 5)
    assert (whole.tolist(), same.tolist()) == (tokens.tolist(), offsets.tolist())


def spec(encoder: Path, **more: object) -> CorpusSpec:
    return CorpusSpec.parse({"dataset": "x.csv", "encoder": str(encoder), **more})


def data() -> Corpus:
    train = Split(["A funny film", "so gripping film"], np.array([0, 1]), None)
    dev = Split(
        ["stars! monosemantic film", ""],
        np.array([0, 1]),
        [np.array([0, 1, 1], dtype=np.int8), np.array([], dtype=np.int8)],
    )
    return Corpus("x.csv", "here", ("0", "1"), train, dev)


def test_every_word_of_every_split_is_known_and_a_cut_rationale_follows(made: Path) -> None:
    whole = encode_corpus(data(), spec(made))
    assert whole.pieces is not None
    assert whole.counts["unknown_dev"] == whole.counts["truncated_dev"] == 0
    assert whole.max_len == 64
    assert whole.dev.rationale is not None
    assert whole.dev.rationale.tolist() == [0, 1, 1]
    counts = np.diff(whole.pieces.offsets)[whole.dev.tokens]
    short = encode_corpus(data(), spec(made, max_len=int(counts[:2].sum()) + 2))
    assert short.dev.lengths.tolist() == [2, 0]
    assert short.dev.rationale is not None
    assert short.dev.rationale.tolist() == [0, 1]
    assert short.counts["truncated_dev"] == 1
    assert short.fingerprint != whole.fingerprint


def test_more_pieces_than_positions_are_refused(made: Path) -> None:
    with pytest.raises(BadInput, match=r"^max-len: 65 is more than the 64 positions"):
        encode_corpus(data(), spec(made, max_len=65))


def test_a_cached_corpus_has_its_pieces_and_another_encoder_another_entry(
    folder: Path, tmp_path: Path
) -> None:
    asked = CorpusSpec(dataset="planted", train_limit=20, dev_limit=10, encoder=str(folder))
    first = encoded_corpus(asked, tmp_path / "cache")
    again = encoded_corpus(asked, tmp_path / "cache")
    assert first.pieces is not None
    assert again.pieces is not None
    assert again.fingerprint == first.fingerprint
    assert again.pieces.shape == first.pieces.shape
    np.testing.assert_array_equal(again.pieces.pieces, first.pieces.pieces)
    weights = load_file(folder / "model.safetensors")
    save_file({name: value * 2 for name, value in weights.items()}, folder / "model.safetensors")
    changed = encoded_corpus(asked, tmp_path / "cache")
    assert changed.fingerprint != first.fingerprint


@pytest.mark.parametrize("name", ["", " ", "FILE"])
def test_what_is_no_folder_is_refused_without_asking_the_hub(folder: Path, name: str) -> None:
    asked = str(folder / "config.json") if name == "FILE" else name
    with pytest.raises(BadInput, match=r"^encoder: .* is no folder of an encoder; give its folder"):
        find_encoder(asked)


@pytest.mark.parametrize("given", [{"tokenizer": "words"}, {"lowercase": True}])
def test_a_way_to_cut_words_beside_an_encoder_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(BadInputs, match="leave --tokenizer and --lowercase out"):
        CorpusSpec.parse({"dataset": "x.csv", "encoder": "org/encoder", **given})


def test_a_folder_has_the_same_name_from_everywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert canonical_encoder("bert") == canonical_encoder(f"./{folder.name}") == str(folder)
    assert find_encoder("bert").shape == read_encoder(folder).shape
    with pytest.raises(BadInput, match=r"^encoder: there is no folder"):
        find_encoder("./nowhere")
