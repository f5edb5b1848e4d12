"""Trained models on disk: safetensors, JSON and a word list, with checksums; no pickle."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import safr_study
from safr_study.data import MAX_LABEL, EncodedCorpus
from safr_study.errors import BadInputs, CorruptCheckpoint
from safr_study.model import SafrClassifier, build_model
from safr_study.records import CheckpointRef, Scores
from safr_study.settings import CorpusSpec, EvaluationConfig, Settings, TrainConfig
from safr_study.training.hashing import file_sha256
from safr_study.training.pickles import refuse_pickles

WEIGHTS = "weights.safetensors"
VOCABULARY = "vocabulary.txt"
MANIFEST = "model.json"
MAX_MANIFEST_BYTES = 10_000_000
"""It has some thousands; a larger one is not read."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model from disk with everything needed to use it on new texts."""

    model: SafrClassifier
    """In evaluation mode."""
    config: TrainConfig
    corpus_spec: CorpusSpec
    """Of the training corpus."""
    evaluation: EvaluationConfig
    """How its scores were measured."""
    vocabulary: tuple[str, ...]
    """Words by id, PAD and UNK first."""
    class_names: tuple[str, ...]
    max_len: int
    """Tokens kept of each text."""
    corpus_fingerprint: str
    scores: Scores | None
    """As recorded when it was saved."""
    epoch: int
    """Whose state it is, from 1."""
    ref: CheckpointRef


def save_model(
    folder: Path,
    model: SafrClassifier,
    *,
    config: TrainConfig,
    corpus: EncodedCorpus,
    spec: CorpusSpec,
    evaluation: EvaluationConfig,
    scores: Scores | None,
    epoch: int,
) -> CheckpointRef:
    """Write a model into a folder of its own, whole or not at all.

    Args:
        folder: replaced if it is there; its parents are made.
        model: its weights are written.
        config: it was trained with.
        corpus: it was trained on.
        spec: of that corpus.
        evaluation: how the scores were measured.
        scores: measured, if any.
        epoch: whose state it is, from 1.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        save_file(model.state_dict(), temporary / WEIGHTS)
        (temporary / VOCABULARY).write_bytes(corpus.vocabulary_bytes.tobytes())
        manifest = _Manifest(
            schema_version=1,
            safr_study=safr_study.__version__,
            config=config,
            corpus=spec,
            evaluation=evaluation,
            class_names=corpus.class_names,
            max_len=corpus.max_len,
            corpus_fingerprint=corpus.fingerprint,
            scores=scores,
            epoch=epoch,
            weights_sha256=file_sha256(temporary / WEIGHTS),
            vocabulary_sha256=file_sha256(temporary / VOCABULARY),
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
        (temporary / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _ref(folder, manifest)


def load_model(folder: Path, *, device: torch.device | None = None) -> LoadedModel:
    """Read a model, its checksums verified.

    Args:
        folder: written by ``save_model``.
        device: where the model goes; ``None``: the CPU.

    Raises:
        CorruptCheckpoint: a file is missing, damaged, or does not fit the others; or there is a
            pickle in the folder.
    """
    refuse_pickles(folder)
    manifest = _verified(folder)
    try:
        vocabulary = tuple((folder / VOCABULARY).read_text(encoding="utf-8").split("\n"))
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise _corrupt(folder, f"cannot be read ({error})") from error
    # Its sizes alone first: a manifest may ask for more memory than there is.
    with torch.device("meta"):
        expected = _build(manifest, len(vocabulary)).state_dict()
    _check_weights(folder, weights, expected)
    model = _build(manifest, len(vocabulary))
    model.load_state_dict(weights)
    return LoadedModel(
        model=model.to(device or torch.device("cpu")).eval(),
        config=manifest.config,
        corpus_spec=manifest.corpus,
        evaluation=manifest.evaluation,
        vocabulary=vocabulary,
        class_names=manifest.class_names,
        max_len=manifest.max_len,
        corpus_fingerprint=manifest.corpus_fingerprint,
        scores=manifest.scores,
        epoch=manifest.epoch,
        ref=_ref(folder, manifest),
    )


def verify_model(folder: Path) -> CheckpointRef:
    """Check a checkpoint's schema and checksums without building the model.

    Raises:
        CorruptCheckpoint: a file is missing or damaged.
    """
    return _ref(folder, _verified(folder))


def _build(manifest: _Manifest, words: int) -> SafrClassifier:
    return build_model(
        manifest.config.shape,
        preset=manifest.config.preset,
        vocabulary_size=words,
        classes=len(manifest.class_names),
        max_len=manifest.max_len,
        seed=0,
    )


def _check_weights(
    folder: Path, weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    def unfit(why: str) -> CorruptCheckpoint:
        return _corrupt(folder, f"{WEIGHTS} does not fit {MANIFEST} ({why})")

    for name in sorted(weights.keys() ^ expected.keys()):
        raise unfit(f"{name} is {'unknown' if name in weights else 'missing'}")
    for name, wanted in expected.items():
        found = weights[name]
        if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
            kinds = [f"{tuple(t.shape)} {t.dtype}" for t in (found, wanted)]
            raise unfit(f"{name} is {kinds[0]}, not {kinds[1]}")
        if not torch.isfinite(found).all():
            raise _corrupt(folder, f"{name} of {WEIGHTS} is not finite")


class _Manifest(Settings):
    """The contents of ``model.json``."""

    schema_version: Literal[1]
    safr_study: str
    """Version that wrote it."""
    config: TrainConfig
    corpus: CorpusSpec
    evaluation: EvaluationConfig
    class_names: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_LABEL)], ...], Field(min_length=1)
    ]
    max_len: Annotated[int, Field(ge=1, le=4096)]
    corpus_fingerprint: str
    scores: Scores | None
    epoch: Annotated[int, Field(ge=1)]
    weights_sha256: str
    vocabulary_sha256: str


def _verified(folder: Path) -> _Manifest:
    try:
        if (folder / MANIFEST).stat().st_size > MAX_MANIFEST_BYTES:
            raise _corrupt(folder, f"{MANIFEST} is larger than {MAX_MANIFEST_BYTES:,} bytes")
        plain = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _corrupt(folder, f"{MANIFEST} cannot be read ({error})") from error
    try:
        manifest = _Manifest.parse(plain, where=MANIFEST)
    except BadInputs as error:
        raise _corrupt(folder, str(error.faults[0])) from error
    for name, recorded in (
        (WEIGHTS, manifest.weights_sha256),
        (VOCABULARY, manifest.vocabulary_sha256),
    ):
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise _corrupt(folder, f"{name} cannot be read ({error.strerror})") from error
        if found != recorded:
            raise _corrupt(folder, f"{name} does not match its checksum")
    return manifest


def _corrupt(folder: Path, problem: str) -> CorruptCheckpoint:
    return CorruptCheckpoint("checkpoint", f"{folder}: {problem}; save or pull the model again")


def _ref(folder: Path, manifest: _Manifest) -> CheckpointRef:
    return CheckpointRef(str(folder.resolve()), manifest.weights_sha256, manifest.epoch)


def _put_in_place(temporary: Path, folder: Path) -> None:
    # A folder cannot be renamed onto one with files: move that aside first.
    aside = temporary.with_name(f"{temporary.name}-replaced")
    if folder.exists():
        folder.rename(aside)
    temporary.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
