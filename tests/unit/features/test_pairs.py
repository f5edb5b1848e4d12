"""A model of pairs of texts, asked in every way that there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.models import Model as Described
from tiny_model import CLASSES, save_tiny_model

import safr_study as ss
from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.cli.app import main
from safr_study.errors import BadInput
from safr_study.evaluation.explanation import explain_text
from safr_study.evaluation.text_prediction import predict_texts
from safr_study.features.explain.page import explanation_page
from safr_study.figures.explanation import explanation_svgs
from safr_study.records.explanation import explanation_to_plain
from safr_study.settings import SEP
from safr_study.tracking.versions import EXAMPLE, save_logged

PAIRS = [
    ("the film  was good", "a film is bad ."),
    ("the film", ""),
    ("", "and the film"),
    ("good " * 20, "bad"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models") / "pairs", pairs=True, seed=2)


@pytest.fixture
def loaded(folder: Path) -> LoadedModel:
    return load_model(folder, dtype=torch.float64)


def test_a_pair_is_read_as_its_words_around_the_separator(loaded: LoadedModel) -> None:
    assert loaded.pairs
    read = loaded.encode(PAIRS)
    words = [loaded.vocabulary[token] for token in read.tokens[: read.offsets[1]]]
    assert words == ["the", "film", "was", "good", "a", "film", "is", "bad", "."]
    assert read.kept.tolist() == [4, 5, 2, 0, 0, 3, 14, 1]
    ids = torch.tensor([[*read.tokens[:4].tolist(), SEP, *read.tokens[4:9].tolist()]])
    with torch.inference_mode():
        p = torch.softmax(loaded.model(ids).logits, dim=1)[0]
    found = predict_texts(loaded, PAIRS)
    np.testing.assert_allclose(found.probabilities[0], p.numpy(), atol=1e-9)
    assert (found.cut, found.lengths) == (1, (9, 2, 3, 21))


def test_predictions_are_those_of_each_pair_explained_alone(loaded: LoadedModel) -> None:
    together = predict_texts(loaded, PAIRS, words=3)
    for row, pair in enumerate(PAIRS):
        alone = explain_text(loaded, pair, reference="here")
        assert [p for _, p in alone.probabilities] == together.probabilities[row].tolist()
        highest = sorted((word for word in alone.words if word.top), key=lambda word: word.rank)[:3]
        assert together.words[row] == tuple(
            (word.text, pytest.approx(word.capacity)) for word in highest
        )


def test_an_explanation_has_both_texts_as_typed_and_their_links(loaded: LoadedModel) -> None:
    pair = PAIRS[0]
    found = explain_text(loaded, pair, reference="here", all_layers=True)
    assert (found.text, found.texts) == ("\n".join(pair), pair)
    assert found.second_from == 4
    assert [word.text for word in found.words] == [*pair[0].split(), *pair[1].split()]
    assert found.pairs_of_words == 20
    links = found.strongest(5)
    assert all(i < 4 <= j for i, j in links)
    cosine = np.abs(found.view.cosine)
    assert cosine[links[0]] == cosine[:4, 4:].max()
    swapped = explain_text(loaded, (pair[1], pair[0]), reference="here")
    assert swapped.probabilities != found.probabilities
    plain = json.loads(json.dumps(explanation_to_plain(found)))
    assert (plain["texts"], plain["second_from"]) == (list(pair), 4)
    page = explanation_page(found, explanation_svgs(found))
    assert "strongest of 20 pairs between the two texts" in page
    assert "second text" in page
    cut = explain_text(loaded, PAIRS[3], reference="here")
    assert (len(cut.words), cut.words_cut, cut.second_from) == (15, 6, 14)
    assert cut.text == "\n".join(PAIRS[3])
    assert "Only 15 of 21 words were read: this model takes no more." in cut.notes
    empty = explain_text(loaded, ("", ""), reference="here")
    assert (empty.words, empty.second_from, empty.text) == ((), 0, "\n")


def test_single_texts_have_no_links_between(tmp_path: Path) -> None:
    single = load_model(save_tiny_model(tmp_path / "single"), dtype=torch.float64)
    found = explain_text(single, "the film was good", reference="here")
    assert found.second_from is found.texts is None
    assert "texts" not in explanation_to_plain(found)
    assert len(found.strongest(99)) == found.pairs_of_words == 6


def test_python_takes_pairs_and_tables_of_two_columns(folder: Path) -> None:
    model = ss.load(folder)
    table = model.predict(PAIRS, words=2)
    assert list(table.columns[:3]) == ["first", "second", "label"]
    assert table["second"].tolist() == [second for _, second in PAIRS]
    given = pd.DataFrame(PAIRS, columns=["premise", "hypothesis"], index=list("abcd"))
    assert model.predict(given).index.tolist() == list("abcd")
    np.testing.assert_array_equal(
        model.predict(given)["probability"].to_numpy(), table["probability"].to_numpy()
    )
    named = given.rename(columns={"premise": "a", "hypothesis": "b"})
    same = model.predict(named, text_column=["a", "b"])
    np.testing.assert_array_equal(same["probability"], table["probability"])
    assert len(model.predict([])) == 0
    assert model.explain(PAIRS[0]).record.texts == PAIRS[0]
    with pytest.raises(BadInput, match="the model is one of pairs of texts; give it two texts"):
        model.predict(["one text"])
    with pytest.raises(BadInput, match="the model is one of pairs"):
        model.explain("one text")
    with pytest.raises(BadInput, match="the model is one of pairs: the columns are a, b"):
        model.predict(named)


def test_a_pair_for_a_model_of_single_texts_is_refused(tmp_path: Path) -> None:
    model = ss.load(save_tiny_model(tmp_path / "single"))
    with pytest.raises(BadInput, match="the model is one of single texts; give it one text"):
        model.predict(PAIRS)
    with pytest.raises(BadInput, match="the model is one of single texts"):
        model.explain(PAIRS[0])


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a command: its exit code, and what it says on either stream."""

    def one(*command: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["safr-study", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), "".join(capsys.readouterr())

    return one


def test_files_of_pairs_are_predicted_whatever_their_kind(
    folder: Path, tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    given = pd.DataFrame(PAIRS, columns=["premise", "hypothesis"])
    given.to_csv(tmp_path / "in.csv", index=False)
    given.rename(columns={"premise": "b", "hypothesis": "a"}).to_parquet(tmp_path / "in.parquet")
    given.to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    expected = predict_texts(load_model(folder, dtype=torch.float64), PAIRS).probabilities
    for name, columns in (
        ("in.csv", ()),
        ("in.jsonl", ("--text-column", "premise", "--text-column", "hypothesis")),
        ("in.parquet", ("--text-column", "b", "--text-column", "a")),
    ):
        out = tmp_path / f"{name}.out.parquet"
        command = ("predict", str(folder), str(tmp_path / name), "--out", str(out), *columns)
        assert run(*command)[0] == 0
        found = pd.read_parquet(out)
        shares = found[[f"p({name})" for name in CLASSES]].to_numpy()
        np.testing.assert_array_equal(shares, expected)
    one = ("--text-column", "premise", "--out", str(tmp_path / "o.csv"))
    code, error = run("predict", str(folder), str(tmp_path / "in.csv"), *one)
    assert (code, "the model is one of pairs of texts; give two" in error) == (2, True)


def test_the_terminal_shows_both_texts_and_their_links(
    folder: Path, run: Callable[..., tuple[int, str]]
) -> None:
    code, shown = run("explain", str(folder), *PAIRS[0], "--top", "3")
    assert code == 0
    assert "Links between the texts" in shown
    assert "second" in shown
    code, error = run("explain", str(folder), "one text")
    assert (code, "the model is one of pairs of texts" in error) == (2, True)


def test_a_model_of_the_second_text_alone_reads_no_word_of_the_first(tmp_path: Path) -> None:
    path = save_tiny_model(tmp_path / "second", pairs=True, texts="second", seed=2)
    model = load_model(path, dtype=torch.float64)
    one, other = (predict_texts(model, [(first, "a film")]) for first in ("the bad", "good"))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one.lengths == (2,)
    found = explain_text(model, ("the bad", "a film"), reference="here")
    assert [word.text for word in found.words] == ["a", "film"]
    assert (found.text, found.words_cut, found.second_from) == ("the bad\na film", 0, 0)


def test_a_logged_model_of_pairs_takes_pairs(folder: Path, tmp_path: Path) -> None:
    save_logged(tmp_path / "logged", folder, Described())
    model = mlflow.pyfunc.load_model(str(tmp_path / "logged"))
    asked: list[Any] = [{"first": first, "second": second} for first, second in PAIRS]
    expected = predict_texts(load_model(folder, dtype=torch.float64), PAIRS)
    found = model.predict(asked)
    for row, one in enumerate(found):
        assert list(one.probabilities.values()) == expected.probabilities[row].tolist()
    assert model.predict(EXAMPLE[True])[0].label in CLASSES
    with pytest.raises(mlflow.MlflowException):
        model.predict(["one text"])
    assert '"second"' in (tmp_path / "logged" / "MLmodel").read_text()
