"""Models over a pretrained encoder: trained, resumed, saved, and used on new texts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_encoder import tiny_encoder

from safr_study.checkpoint.manifest import TOKENIZER, VOCABULARY
from safr_study.checkpoint.model_files import LoadedModel, load_model, save_model
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.evaluation.explanation import explain_text
from safr_study.evaluation.scoring import evaluate_model
from safr_study.evaluation.text_prediction import predict_texts
from safr_study.records import TrialRecord, TrialState
from safr_study.render.model_card import ModelCard
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    Objective,
    Penalties,
    TrainConfig,
    Wanted,
)
from safr_study.training import FitResult, fit
from safr_study.training.loop import initial_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder("electra", tmp_path_factory.mktemp("encoder") / "electra")


@pytest.fixture(scope="module")
def spec(encoder: Path) -> CorpusSpec:
    return CorpusSpec(dataset="planted", train_limit=64, dev_limit=20, encoder=str(encoder))


@pytest.fixture(scope="module")
def corpus(spec: CorpusSpec) -> EncodedCorpus:
    return encoded_corpus(spec)


def config(epochs: int = 2) -> TrainConfig:
    return TrainConfig(
        learning_rate=1e-3, epochs=epochs, penalties=Penalties(lambda_imp=0.1, lambda_inter=0.1)
    )


@pytest.fixture(scope="module")
def fitted(corpus: EncodedCorpus) -> FitResult:
    return fit(config(), corpus, device=CPU)


def same(one: FitResult, other: FitResult) -> bool:
    state = other.model.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.model.state_dict().items())


def test_training_repeats_itself_and_learns_in_every_weight(
    corpus: EncodedCorpus, fitted: FitResult
) -> None:
    again = fit(config(), corpus, device=CPU)
    assert same(again, fitted)
    assert again.epochs[-1].train == fitted.epochs[-1].train
    assert fitted.epochs[-1].effective_importance
    other = fit(config(1).model_copy(update={"learning_rate": 1e-9}), corpus, device=CPU)
    moved = dict(other.model.named_parameters())
    # An encoder's keys have a bias that no softmax sees.
    for name, weight in fitted.model.named_parameters():
        if not name.endswith("key.bias"):
            assert not torch.allclose(weight, moved[name], atol=1e-6), name


def test_a_training_that_was_cut_off_ends_as_one_that_was_not(
    corpus: EncodedCorpus, fitted: FitResult, tmp_path: Path
) -> None:
    class Cut(Exception):
        pass

    def stop(_report: object) -> None:
        raise Cut

    with pytest.raises(Cut):
        fit(config(), corpus, device=CPU, resume_from=tmp_path, on_epoch=stop)
    assert same(fit(config(), corpus, device=CPU, resume_from=tmp_path), fitted)


def test_training_the_head_leaves_the_encoder_as_it_came_and_resumes(
    corpus: EncodedCorpus, fitted: FitResult, tmp_path: Path
) -> None:
    head = config().model_copy(update={"train_encoder": "head"})
    begun = dict(initial_model(head, corpus).named_parameters())
    whole = fit(head, corpus, device=CPU)
    for name, weight in whole.model.named_parameters():
        trained = name.startswith(("fc.", "vmask."))
        assert torch.equal(weight, begun[name]) is not trained, name
        assert weight.requires_grad is trained
        assert (weight.grad is None) or trained
    assert whole.epochs[-1].effective_importance
    assert whole.epochs[-1].train.total != fitted.epochs[-1].train.total

    class Cut(Exception):
        pass

    def stop(_report: object) -> None:
        raise Cut

    with pytest.raises(Cut):
        fit(head, corpus, device=CPU, resume_from=tmp_path, on_epoch=stop)
    (state,) = tmp_path.glob("*.safetensors")
    moments = {name for name in load_file(state) if name.endswith("exp_avg")}
    assert len(moments) == sum(name.startswith(("fc.", "vmask.")) for name in begun)
    resumed: list[int] = []
    again = fit(
        head, corpus, device=CPU, resume_from=tmp_path, on_resume=lambda r: resumed.append(len(r))
    )
    assert resumed == [1]
    assert same(again, whole)


@pytest.fixture
def loaded(
    corpus: EncodedCorpus, spec: CorpusSpec, fitted: FitResult, tmp_path: Path
) -> LoadedModel:
    save(tmp_path / "model", corpus, spec, fitted)
    return load_model(tmp_path / "model")


def save(folder: Path, corpus: EncodedCorpus, spec: CorpusSpec, fitted: FitResult) -> None:
    save_model(
        folder,
        fitted.model,
        config=config(),
        corpus=corpus,
        spec=spec,
        evaluation=EvaluationConfig(),
        scores=None,
        epoch=2,
    )


def test_a_loaded_model_is_the_saved_one_without_the_encoder_s_folder_or_the_corpus_s_words(
    corpus: EncodedCorpus, fitted: FitResult, loaded: LoadedModel, tmp_path: Path
) -> None:
    words = [corpus.vocabulary[token] for token in corpus.dev.tokens[: corpus.dev.offsets[1]]]
    tokens = loaded.encode([" ".join(words)])[0]
    ids = torch.from_numpy(corpus.dev.tokens[: len(words)].astype(np.int64))[None]
    with torch.no_grad():
        found = loaded.model(torch.from_numpy(tokens.astype(np.int64))[None]).logits
        expected = fitted.model(ids).logits
    assert torch.equal(found, expected)
    assert (tmp_path / "model" / VOCABULARY).read_text() == "<pad>\n<unk>"


def test_an_explanation_is_of_words_and_knows_them_all(loaded: LoadedModel) -> None:
    typed = "A gripping,  FUNNY film! superpositioned"
    found = explain_text(loaded, typed, reference="here")
    assert [word.text for word in found.words] == typed.split()
    assert found.text == typed
    assert all(word.known for word in found.words)
    emoji = explain_text(loaded, "a 😀 film", reference="here")
    assert [word.known for word in emoji.words] == [True, False, True]
    assert found.source.blocks == 2
    assert found.view.block == 1
    assert found.layer_title == "FFN1 before GELU, block 2"
    assert sorted(word.rank for word in found.words) == list(range(5))
    again = explain_text(loaded, "other words first", reference="here")
    assert again.words_cut == 0
    assert explain_text(loaded, typed, reference="here").probabilities == found.probabilities
    long = explain_text(loaded, "word " * 200, reference="here")
    assert long.words_cut == 200 - len(long.words) > 0


def test_the_card_says_what_is_under_the_model(loaded: LoadedModel, encoder: Path) -> None:
    trial = TrialRecord(0, TrialState.COMPLETE, {}, seed=0, values=(1.0, 1.0))
    objectives = (Objective(name="accuracy"), Objective(name="srs@30"))
    card = ModelCard("safr-planted", "s", trial, objectives).markdown(loaded)
    assert f"the pretrained encoder `{encoder}` (electra, 2 Transformer blocks)" in card
    assert "64 pieces of its encoder's tokenizer" in card
    assert "vocabulary" not in card


def test_srs_is_measured_by_every_mode_of_deletion(
    corpus: EncodedCorpus, fitted: FitResult
) -> None:
    accuracies = {}
    for mode in ("remove", "unk", "attn", "gate"):
        scores = evaluate_model(
            fitted.model,
            corpus.dev,
            split_name="dev",
            config=EvaluationConfig(mode=mode),
            want=Wanted(shares=(0.3,), superposition=True),
            preset="masked",
            device=CPU,
        ).scores
        accuracies[mode] = scores.value("comprehensiveness@30")
        assert len({measure.block for measure in scores.superposition}) == 2
    assert len(set(accuracies.values())) == 4


def test_a_damaged_tokenizer_is_told(loaded: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "model" / TOKENIZER).write_text("{}")
    with pytest.raises(CorruptCheckpoint, match=r"tokenizer.json does not match its checksum"):
        load_model(tmp_path / "model")


def test_an_encoder_that_changed_since_is_refused(corpus: EncodedCorpus, encoder: Path) -> None:
    path = encoder / "config.json"
    before = path.read_text()
    path.write_text(before + "\n")
    try:
        with pytest.raises(BadInput, match="changed since the study began; give it back"):
            fit(config(), corpus, device=CPU)
    finally:
        path.write_text(before)


def test_predictions_of_many_texts_are_those_of_each_alone(
    corpus: EncodedCorpus, spec: CorpusSpec, fitted: FitResult, tmp_path: Path
) -> None:
    save(tmp_path / "model", corpus, spec, fitted)
    loaded = load_model(tmp_path / "model", dtype=torch.float64)
    texts = ["A gripping film", "", "superpositioned neurons aren't monosemantic at all, never"]
    together = predict_texts(loaded, texts, words=2)
    assert together.unknown == 1  # "never" has no piece of its own in so small a tokenizer
    for row, text in enumerate(texts):
        alone = explain_text(loaded, text, reference="here")
        assert dict(alone.probabilities) == dict(
            zip(together.class_names, together.probabilities[row].tolist(), strict=True)
        )
        highest = sorted((w for w in alone.words if w.top), key=lambda word: word.rank)[:2]
        assert [word for word, _ in together.words[row]] == [word.text for word in highest]


def test_answers_do_not_depend_on_the_texts_before_or_in_other_threads(
    loaded: LoadedModel,
) -> None:
    texts = [f"film number {number} is w{number % 7} and v{number}" for number in range(24)]
    one_by_one = [explain_text(loaded, text, reference="here").probabilities for text in texts]
    assert loaded.tokenizer is not None
    assert len(loaded.tokenizer.words) < 12
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda text: explain_text(loaded, text, reference="here"), texts)
        assert [one.probabilities for one in found] == one_by_one


def test_a_text_that_was_cut_is_counted_by_its_pieces(loaded: LoadedModel) -> None:
    found = predict_texts(loaded, ["superpositioned " * 12, "a film"])
    assert found.lengths == (12, 2)
    assert (found.cut, found.read < 14) == (1, True)
