"""Trained models on disk: safetensors, JSON and a word list, with checksums; no pickle."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode

import safr_study
from safr_study.checkpoint.manifest import (
    MANIFEST,
    VOCABULARY,
    WEIGHTS,
    Manifest,
    ModelFacts,
    checkpoint_ref,
    corrupt,
    file_sha256,
    read_facts,
)
from safr_study.data import (
    TOKENIZER,
    EncodedCorpus,
    EncodedRows,
    PieceTokenizer,
    Text,
    WordSplitter,
    each_text,
    encode_rows,
    find_encoder,
    pack_vocabulary,
    read_tokenizer,
    special_words,
)
from safr_study.data.pieces import Tokens
from safr_study.errors import BadInput
from safr_study.model import Classifier, PretrainedClassifier, build_model, piece_table
from safr_study.records import CheckpointRef, Scores
from safr_study.settings import UNK, CorpusSpec, EvaluationConfig, TrainConfig


class LoadedModel(ModelFacts, arbitrary_types_allowed=True):
    """A model from disk with everything needed to use it on new texts."""

    model: Classifier
    """Model in evaluation mode."""
    tokenizer: PieceTokenizer | None = None
    """Tokenizer of a pretrained encoder."""

    @property
    def words_known(self) -> int:
        """Number of ids that `encode` has given out so far, or may give."""
        return len(self.vocabulary if self.tokenizer is None else self.tokenizer.words)

    def knows(self, tokens: Tokens) -> NDArray[np.bool_]:
        """Whether each word ``[T]`` of `encode` is one that the model tells from others."""
        if self.tokenizer is None:
            return np.not_equal(tokens, UNK)
        known: NDArray[np.bool_] = self.tokenizer.spelled()[tokens]
        return known

    def reading(self, corpus: EncodedCorpus) -> Classifier:
        """The model for the splits of a corpus: over an encoder it has the pieces of its words."""
        if corpus.pieces is not None:
            assert isinstance(self.model, PretrainedClassifier)
            self.model.table = piece_table(corpus.pieces)
        return self.model

    @contextmanager
    def own_words(self) -> Iterator[None]:
        """A block whose texts alone have ids by `encode`, in one thread at a time.

        So a model that answers for long does not grow with the words that it meets.
        """
        if self.tokenizer is None:
            yield
            return
        with self.tokenizer.lock:
            self.tokenizer.forget()
            yield

    def encode(self, rows: Sequence[Text]) -> EncodedRows:
        """Words of texts, or of pairs for a model of pairs, as the model takes them.

        A model over a pretrained encoder learns the pieces of words that it has not met. One that
        was trained on the second texts alone reads those alone.

        Raises:
            BadInput: a text for a model of pairs, or a pair for one of single texts.
        """
        if any(isinstance(row, str) == self.pairs for row in rows):
            wanted = ("pairs of texts", "two texts") if self.pairs else ("single texts", "one text")
            raise BadInput("text", f"the model is one of {wanted[0]}; give it {wanted[1]} each")
        splitter, vocabulary = WordSplitter.of(self.corpus), self.vocabulary
        pieces = None
        if self.tokenizer is not None and self.encoder is not None:
            self.tokenizer.learn(word for text in each_text(rows) for word in splitter.words(text))
            assert isinstance(self.model, PretrainedClassifier)
            self.model.table = piece_table(self.tokenizer)
            pieces, vocabulary = self.tokenizer, tuple(self.tokenizer.words)
        read = encode_rows(
            rows, vocabulary, self.max_len, splitter, pairs=self.pairs, pieces=pieces
        )
        return read.only_seconds() if self.config.texts == "second" else read


def save_model(
    folder: Path,
    model: Classifier,
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
        pieces, words = corpus.pieces, corpus.vocabulary_bytes
        if pieces is not None:
            # Its tokenizer knows every word: the corpus's own are no part of the model.
            words = pack_vocabulary(special_words(pairs=corpus.pairs))
            shutil.copyfile(find_encoder(pieces.encoder).folder / TOKENIZER, temporary / TOKENIZER)
        (temporary / VOCABULARY).write_bytes(words.tobytes())
        manifest = Manifest(
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
            encoder=None if pieces is None else pieces.shape,
            tokenizer_sha256=None if pieces is None else file_sha256(temporary / TOKENIZER),
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
        (temporary / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return checkpoint_ref(folder, manifest)


def load_model(
    folder: Path, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> LoadedModel:
    """Read a model, its checksums verified.

    Args:
        folder: written by ``save_model``.
        device: where the model goes; ``None``: the CPU.
        dtype: of its weights and its passes; ``None``: float32, as it was trained. The prediction
            of a text is the same to the last digit shown in any batch and anywhere with float64.

    Raises:
        CorruptCheckpoint: a file is missing, damaged, or does not fit the others; or there is a
            pickle in the folder.
    """
    facts = read_facts(folder)
    try:
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise corrupt(folder, f"cannot be read ({error})") from error
    tokenizer = None
    if facts.encoder is not None:
        try:
            read = read_tokenizer(folder / TOKENIZER)
        except ValueError as error:
            raise corrupt(folder, f"{TOKENIZER} cannot be read ({error})") from error
        tokenizer = PieceTokenizer(read, facts.encoder, pairs=facts.pairs)
    try:
        # Memory that nothing was written to is not there yet, whatever a manifest asks for.
        with _WithoutDrawing():
            model = _empty_model(facts, tokenizer)
    except RuntimeError as error:
        raise corrupt(folder, f"{MANIFEST} asks for too large a model ({error})") from error
    _check_weights(folder, weights, model.state_dict())
    model.load_state_dict(weights)
    model = model.to(device or torch.device("cpu"), dtype).eval()
    return LoadedModel.model_construct(**dict(facts), model=model, tokenizer=tokenizer)


def _empty_model(facts: ModelFacts, tokenizer: PieceTokenizer | None) -> Classifier:
    classes = len(facts.class_names)
    if facts.encoder is not None and tokenizer is not None:
        return PretrainedClassifier(
            facts.encoder,
            facts.config.shape,
            classes=classes,
            table=piece_table(tokenizer),
            pairs=facts.pairs,
        )
    return build_model(
        facts.config.shape,
        preset=facts.config.preset,
        vocabulary_size=len(facts.vocabulary),
        classes=classes,
        max_len=facts.max_len,
        seed=0,
        pairs=facts.pairs,
    )


class _WithoutDrawing(TorchFunctionMode):
    """New layers keep whatever their memory holds, as their weights are read from a file.

    The meta device would do without the memory too, but imports torch's compiler: a second.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def _check_weights(
    folder: Path, weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    unfit = f"{WEIGHTS} does not fit {MANIFEST}"
    for name in sorted(weights.keys() ^ expected.keys()):
        found = "unknown" if name in weights else "missing"
        raise corrupt(folder, f"{unfit} ({name} is {found})")
    for name, wanted in expected.items():
        weight = weights[name]
        if (weight.shape, weight.dtype) != (wanted.shape, wanted.dtype):
            kinds = [f"{tuple(t.shape)} {t.dtype}" for t in (weight, wanted)]
            raise corrupt(folder, f"{unfit} ({name} is {kinds[0]}, not {kinds[1]})")
        if not torch.isfinite(weight).all():
            raise corrupt(folder, f"{name} of {WEIGHTS} is not finite")


def _put_in_place(temporary: Path, folder: Path) -> None:
    # A folder cannot be renamed onto one with files: move that aside first.
    aside = temporary.with_name(f"{temporary.name}-replaced")
    if folder.exists():
        folder.rename(aside)
    temporary.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
