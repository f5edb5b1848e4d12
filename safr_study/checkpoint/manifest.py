"""The format of a model's folder: its files, checksums, and no pickle; read without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from safr_study.checkpoint.pickles import refuse_pickles
from safr_study.data import MAX_LABEL, TOKENIZER, has_pairs, is_plain_name, special_words
from safr_study.errors import BadInputs, CorruptCheckpoint
from safr_study.records import CheckpointRef, Scores, to_plain
from safr_study.settings import CorpusSpec, EncoderShape, EvaluationConfig, Settings, TrainConfig

WEIGHTS = "weights.safetensors"
VOCABULARY = "vocabulary.txt"
MANIFEST = "model.json"
MODEL = "model"
"""Name of the best model's folder in that of its training."""
STATE = "state"
"""Beginning of the names of running states in the folder of a training."""
MAX_BYTES = {MANIFEST: 10_000_000, VOCABULARY: 1_000_000_000, TOKENIZER: 1_000_000_000}
"""Larger files are not read; that of the weights is bounded by the sizes of the model."""


def _read_scores(plain: object) -> object:
    if not isinstance(plain, dict):
        return plain
    try:
        return Scores.from_plain(plain)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"have another form ({error})") from error


def _class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names checked like a data set's labels: they are printed, and told apart, as they stand."""
    for name in names:
        if not is_plain_name(name):
            raise ValueError(f"{name!r} holds a control character")
    if len(set(names)) < len(names):
        raise ValueError("two classes have the same name")
    return names


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose keys are all different: of two, readers take one or the other."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


_Scores = Annotated[Scores | None, BeforeValidator(_read_scores), PlainSerializer(to_plain)]


class Manifest(Settings):
    """The contents of ``model.json``."""

    schema_version: Literal[1]
    safr_study: str
    """Version that wrote it."""
    config: TrainConfig
    corpus: CorpusSpec
    """Settings of the training corpus."""
    evaluation: EvaluationConfig
    """How its scores were measured."""
    class_names: Annotated[
        tuple[Annotated[str, Field(max_length=MAX_LABEL)], ...],
        Field(min_length=1),
        AfterValidator(_class_names),
    ]
    max_len: Annotated[int, Field(ge=1, le=4096)]
    """Tokens kept of each text."""
    corpus_fingerprint: str
    scores: _Scores
    """Scores recorded when it was saved."""
    epoch: Annotated[int, Field(ge=1)]
    """Epoch of the state, from 1."""
    weights_sha256: str
    vocabulary_sha256: str
    encoder: EncoderShape | None = None
    """Sizes of the pretrained encoder, for a model over one."""
    tokenizer_sha256: str | None = None

    @property
    def pairs(self) -> bool:
        """Whether it is a model of pairs of texts."""
        return has_pairs(self.corpus)

    @property
    def blocks(self) -> int:
        """Number of Transformer blocks."""
        return self.config.shape.layers if self.encoder is None else self.encoder.layers


class ModelFacts(Manifest):
    """A model on disk, but for its weights."""

    vocabulary: tuple[str, ...]
    """Words by id, PAD and UNK first, of pairs SEP too."""
    ref: CheckpointRef


def read_facts(folder: Path) -> ModelFacts:
    """Read what a folder of ``save_model`` says, its checksums verified.

    Raises:
        CorruptCheckpoint: a file is missing or damaged, or there is a pickle in the folder.
    """
    refuse_pickles(folder)
    manifest = _verified(folder)
    try:
        vocabulary = tuple((folder / VOCABULARY).read_text(encoding="utf-8").split("\n"))
    except (OSError, ValueError) as error:
        raise corrupt(folder, f"cannot be read ({error})") from error
    begin = special_words(pairs=manifest.pairs)
    if vocabulary[: len(begin)] != tuple(begin) or len(set(vocabulary)) < len(vocabulary):
        raise corrupt(
            folder, f"{VOCABULARY} does not begin with {' '.join(begin)}, or repeats a word"
        )
    ref = checkpoint_ref(folder, manifest)
    return ModelFacts.model_construct(**dict(manifest), vocabulary=vocabulary, ref=ref)


def verify_model(folder: Path) -> CheckpointRef:
    """Check a checkpoint's schema and checksums without building the model.

    Raises:
        CorruptCheckpoint: a file is missing or damaged.
    """
    return checkpoint_ref(folder, _verified(folder))


def checkpoint_ref(folder: Path, manifest: Manifest) -> CheckpointRef:
    """How the ledger names a folder."""
    return CheckpointRef(str(folder.resolve()), manifest.weights_sha256, manifest.epoch)


def corrupt(folder: Path, problem: str) -> CorruptCheckpoint:
    """The error about a folder, with what to do."""
    return CorruptCheckpoint("checkpoint", f"{folder}: {problem}; save or pull the model again")


def _verified(folder: Path) -> Manifest:
    _check_plain(folder, MANIFEST)
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        plain = json.loads(text, object_pairs_hook=_without_repeats)
    except (OSError, ValueError, RecursionError) as error:
        raise corrupt(folder, f"{MANIFEST} cannot be read ({error})") from error
    try:
        manifest = Manifest.parse(plain, where=MANIFEST)
    except BadInputs as error:
        raise corrupt(folder, str(error.faults[0])) from error
    recorded_sums = {WEIGHTS: manifest.weights_sha256, VOCABULARY: manifest.vocabulary_sha256}
    if manifest.tokenizer_sha256 is not None:
        recorded_sums[TOKENIZER] = manifest.tokenizer_sha256
    for name, recorded in recorded_sums.items():
        _check_plain(folder, name)
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise corrupt(folder, f"{name} cannot be read ({error.strerror})") from error
        if found != recorded:
            raise corrupt(folder, f"{name} does not match its checksum")
    return manifest


def _check_plain(folder: Path, name: str) -> None:
    """See that a file of a model is one, in the folder itself, and no larger than may be.

    A pipe or a device would be read for ever, and a link shows what is elsewhere. A file that is
    missing is left to whoever reads it.
    """
    path, largest = folder / name, MAX_BYTES.get(name)
    if not path.exists():
        return
    if path.is_symlink() or not path.is_file():
        raise corrupt(folder, f"{name} is no plain file")
    if largest is not None and path.stat().st_size > largest:
        raise corrupt(folder, f"{name} is larger than {largest:,} bytes")


def file_sha256(path: Path) -> str:
    """SHA-256 of the contents, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
