from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from plain_scores import a_deletion, made_scores
from safetensors.torch import load_file, save_file

from safr_study.checkpoint.manifest import file_sha256, verify_model
from safr_study.checkpoint.model_files import load_model, save_model
from safr_study.data import EncodedCorpus
from safr_study.errors import CorruptCheckpoint
from safr_study.model import SafrClassifier, build_model
from safr_study.records import CheckpointRef
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig
from safr_study.training import computing

SPEC = CorpusSpec(dataset="planted:redundant", max_len=8)
EVALUATION = EvaluationConfig(draws=12)
SCORES = made_scores(
    split="dev",
    examples=60,
    accuracy=100 / 3,
    accuracy_se=6.1,
    majority_accuracy=50.0,
    loss=0.1 + 0.2,
    deletions=(a_deletion(k=0.3, realised_share=0.31, accuracy_top=20.0, srs=13.3, srs_se=4.0),),
)


@pytest.fixture
def model(config: TrainConfig) -> SafrClassifier:
    return build_model(
        config.shape, preset="masked", vocabulary_size=20, classes=2, max_len=8, seed=9
    )


@pytest.fixture
def saved(
    tmp_path: Path, model: SafrClassifier, config: TrainConfig, corpus: EncodedCorpus
) -> Path:
    save(tmp_path / "model", model, config, corpus)
    return tmp_path / "model"


def save(
    folder: Path, model: SafrClassifier, config: TrainConfig, corpus: EncodedCorpus
) -> CheckpointRef:
    return save_model(
        folder,
        model,
        config=config,
        corpus=corpus,
        spec=SPEC,
        evaluation=EVALUATION,
        scores=SCORES,
        epoch=7,
    )


def test_what_is_saved_is_loaded(
    saved: Path, model: SafrClassifier, config: TrainConfig, corpus: EncodedCorpus
) -> None:
    loaded = load_model(saved)
    assert loaded.config == config
    assert loaded.corpus == SPEC
    assert loaded.evaluation == EVALUATION
    assert loaded.scores == SCORES
    assert loaded.vocabulary == corpus.vocabulary
    assert loaded.class_names == corpus.class_names
    assert (loaded.max_len, loaded.epoch) == (8, 7)
    assert loaded.corpus_fingerprint == corpus.fingerprint
    assert loaded.ref == verify_model(saved)
    assert loaded.ref.sha256 == file_sha256(saved / "weights.safetensors")
    assert Path(loaded.ref.uri) == saved
    ids = torch.tensor([[2, 3, 18], [19, 0, 0]])
    assert not loaded.model.training
    assert torch.equal(loaded.model(ids).logits, model.eval()(ids).logits)


def test_without_scores_there_are_none(
    tmp_path: Path, model: SafrClassifier, config: TrainConfig, corpus: EncodedCorpus
) -> None:
    save_model(
        tmp_path / "m",
        model,
        config=config,
        corpus=corpus,
        spec=SPEC,
        evaluation=EVALUATION,
        scores=None,
        epoch=1,
    )
    assert load_model(tmp_path / "m").scores is None


def test_saving_again_replaces_and_leaves_nothing_else(
    saved: Path, model: SafrClassifier, config: TrainConfig, corpus: EncodedCorpus
) -> None:
    before = verify_model(saved)
    with torch.no_grad():
        model.fc.bias += 1
    after = save(saved, model, config, corpus)
    assert after.sha256 != before.sha256
    assert verify_model(saved) == after
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
    assert sorted(path.name for path in saved.iterdir()) == [
        "model.json",
        "vocabulary.txt",
        "weights.safetensors",
    ]


def test_a_failed_save_leaves_the_old_model(
    saved: Path,
    model: SafrClassifier,
    config: TrainConfig,
    corpus: EncodedCorpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = verify_model(saved)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safr_study.checkpoint.model_files.save_file", full)
    with pytest.raises(OSError, match="No space"):
        save(saved, model, config, corpus)
    assert verify_model(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "model.json"
        plain = json.loads(path.read_text(encoding="utf-8"))
        change(plain)
        path.write_text(json.dumps(plain), encoding="utf-8")

    return damage


def _cut(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def _resealed(folder: Path, change: Callable[[Path], object]) -> None:
    change(folder)
    seal = {
        f"{name.partition('.')[0]}_sha256": file_sha256(folder / name)
        for name in ("weights.safetensors", "vocabulary.txt")
    }
    edited(lambda plain: plain.update(seal))(folder)


def _piped(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def _linked(folder: Path, name: str) -> None:
    """The file as it was, but in another folder."""
    (folder / name).rename(folder.with_name(name))
    (folder / name).symlink_to(folder.with_name(name))


def _of_words(change: Callable[[list[str]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        words = (folder / "vocabulary.txt").read_text("utf-8").split("\n")
        change(words)
        (folder / "vocabulary.txt").write_text("\n".join(words), "utf-8")

    return lambda folder: _resealed(folder, damage)


def _drop_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    del weights["fc.bias"]
    save_file(weights, folder / "weights.safetensors")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no weights": lambda folder: (folder / "weights.safetensors").unlink(),
    "no vocabulary": lambda folder: (folder / "vocabulary.txt").unlink(),
    "no model.json": lambda folder: (folder / "model.json").unlink(),
    "no folder": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "weights cut": _cut("weights.safetensors"),
    "vocabulary cut": _cut("vocabulary.txt"),
    "model.json cut": _cut("model.json"),
    "model.json empty": lambda folder: os.truncate(folder / "model.json", 0),
    "model.json a list": lambda folder: (folder / "model.json").write_text("[1]"),
    "model.json not UTF-8": lambda folder: (folder / "model.json").write_bytes(b'{"a": "\xff"}'),
    "model.json nested": lambda folder: (folder / "model.json").write_text("[" * 100_000),
    "weights a folder": lambda folder: (
        (folder / "weights.safetensors").unlink(),
        (folder / "weights.safetensors").mkdir(),
    ),
    "weights a pipe": lambda folder: _piped(folder, "weights.safetensors"),
    "vocabulary a pipe": lambda folder: _piped(folder, "vocabulary.txt"),
    "model.json a pipe": lambda folder: _piped(folder, "model.json"),
    "model.json elsewhere": lambda folder: _linked(folder, "model.json"),
    "weights elsewhere": lambda folder: _linked(folder, "weights.safetensors"),
    "vocabulary a device": lambda folder: (
        (folder / "vocabulary.txt").unlink(),
        (folder / "vocabulary.txt").symlink_to("/dev/zero"),
    ),
    "a key twice": lambda folder: (folder / "model.json").write_text(
        '{"epoch": 1, ' + (folder / "model.json").read_text().lstrip("{\n ")
    ),
    "two classes of one name": edited(lambda plain: plain.update(class_names=["a", "a"])),
    "a class that moves the cursor": edited(
        lambda plain: plain.update(class_names=["a", "b\x1b[2J"])
    ),
    "a class that turns the line": edited(lambda plain: plain.update(class_names=["a", "b\u202e"])),
    "another schema": edited(lambda plain: plain.update(schema_version=2)),
    "no schema": edited(lambda plain: plain.pop("schema_version")),
    "no checksum": edited(lambda plain: plain.pop("weights_sha256")),
    "another checksum": edited(lambda plain: plain.update(vocabulary_sha256="0" * 64)),
    "a file elsewhere": edited(lambda plain: plain.update(files={"../../etc/passwd": "0"})),
    "epoch 0": edited(lambda plain: plain.update(epoch=0)),
    "a bad config": edited(lambda plain: plain["config"].update(learning_rate=-1)),
    "half the scores": edited(lambda plain: plain.update(scores={"split": "dev"})),
    "deletions a number": edited(lambda plain: plain["scores"].update(deletions=3)),
}

MISFITS: dict[str, Callable[[Path], object]] = {
    "wider model": edited(lambda plain: plain["config"]["shape"].update(embed_dim=32)),
    "more classes": edited(lambda plain: plain.update(class_names=["a", "b", "c"])),
    "without VMASK": edited(lambda plain: plain["config"]["shape"].update(vmask=False)),
    "cut and resealed": lambda folder: _resealed(folder, _cut("weights.safetensors")),
    "fewer words": lambda folder: _resealed(folder, _cut("vocabulary.txt")),
    "a word twice": _of_words(lambda words: words.__setitem__(-1, words[-2])),
    "padding that is a word": _of_words(lambda words: words.__setitem__(0, "film")),
    "unknown twice": _of_words(lambda words: words.__setitem__(-1, "<unk>")),
    "words not UTF-8": lambda folder: _resealed(
        folder, lambda f: (f / "vocabulary.txt").write_bytes(b"\xff\n" * 20)
    ),
    "a tensor is missing": lambda folder: _resealed(folder, _drop_a_tensor),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_sentence(saved: Path, damage: str) -> None:
    DAMAGES[damage](saved)
    for read in (verify_model, load_model):
        with pytest.raises(CorruptCheckpoint) as fault:
            read(saved)
        assert_sentence(str(fault.value), saved)


@pytest.mark.parametrize("misfit", MISFITS)
def test_files_that_do_not_fit_are_one_sentence(saved: Path, misfit: str) -> None:
    MISFITS[misfit](saved)
    verify_model(saved)
    with pytest.raises(CorruptCheckpoint) as fault:
        load_model(saved)
    assert_sentence(str(fault.value), saved)


def test_a_manifest_cannot_ask_for_more_threads_than_there_are(saved: Path) -> None:
    edited(lambda plain: plain["config"].update(threads=100_000))(saved)
    with computing(load_model(saved).config.threads):
        assert torch.get_num_threads() <= (os.cpu_count() or 1)


def assert_sentence(text: str, folder: Path) -> None:
    assert text.startswith(f"checkpoint: {folder}: ")
    assert text.endswith("; save or pull the model again")
    assert "\n" not in text
    assert len(text) < 500


def test_vocabulary_bytes_are_kept(saved: Path, corpus: EncodedCorpus) -> None:
    kept = np.frombuffer((saved / "vocabulary.txt").read_bytes(), dtype=np.uint8)
    assert np.array_equal(kept, corpus.vocabulary_bytes)
