"""A pretrained encoder's folder as its makers publish it: sizes, tokenizer, weights; no pickle.

Read are ``config.json``, ``tokenizer.json`` and ``model.safetensors``, for the families BERT,
DistilBERT, RoBERTa and ELECTRA.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from safr_study.data.encoder_hub import downloaded, pinned, published
from safr_study.data.pieces import TOKENIZER, PieceTokenizer, read_tokenizer
from safr_study.errors import BadInput
from safr_study.settings import EncoderShape

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FAMILIES = ("bert", "distilbert", "roberta", "electra")
"""Values of ``model_type`` that can be read."""
_PICKLE = "pytorch_model.bin"
_ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_new": "gelu_tanh",
                "gelu_pytorch_tanh": "gelu_tanh"}  # fmt: skip
_BERT_BLOCK = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
_DISTILBERT_BLOCK = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "out": "attention.out_lin",
    "norm1": "sa_layer_norm",
    "linear1": "ffn.lin1",
    "linear2": "ffn.lin2",
    "norm2": "output_layer_norm",
}
_OLD_NAMES = {"gamma": "weight", "beta": "bias"}
"""Names of a LayerNorm's parameters in weights of 2018 and 2019."""


@dataclass(frozen=True)
class EncoderFiles:
    """An encoder on disk whose files fit one another."""

    folder: Path
    shape: EncoderShape
    _tokenizer: Tokenizer

    def tokenizer(self, *, pairs: bool = False) -> PieceTokenizer:
        """A new tokenizer that has met no word, for single texts or for pairs."""
        return PieceTokenizer(self._tokenizer, self.shape, pairs=pairs)

    @cached_property
    def sha256(self) -> str:
        """Digest of the files that decide a number."""
        digest = hashlib.sha256()
        for name in (CONFIG, TOKENIZER, WEIGHTS):
            with (self.folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def weights(self) -> dict[str, Tensor]:
        """The encoder's weights by the names of ``PretrainedClassifier``, in float32.

        Raises:
            BadInput: one is missing, or has another size than the configuration says.
        """
        with _opened_weights(self.folder, self.shape) as (file, names):
            return {ours: file.get_tensor(name).float() for ours, name in names.items()}


def canonical_encoder(name: str) -> str:
    """The absolute path of a folder, or a hub id with its commit: the same wherever it is read.

    Raises:
        BadInput: the hub has no such encoder, or does not give it.
        ServiceUnreachable: it is not on this machine and the hub does not answer.
    """
    folder = _folder(name)
    if folder is None:
        return pinned(name, CONFIG)
    return str(folder.resolve()) if folder.is_dir() else name


def find_encoder(name: str) -> EncoderFiles:
    """An encoder by its folder, or by its id on the hub; only what is read is downloaded.

    Raises:
        BadInput: there is none, or as `read_encoder`.
        ServiceUnreachable: it is not on this machine and the hub does not answer.
    """
    folder = _folder(name)
    if folder is not None:
        return read_encoder(folder.absolute())
    wanted = (CONFIG, TOKENIZER, WEIGHTS)
    folder = downloaded(name, wanted)
    if missing := next((file for file in wanted if not (folder / file).is_file()), None):
        raise _bad(_missing(name, missing, published(name), "FOLDER"))
    return read_encoder(folder)


def _folder(name: str) -> Path | None:
    """The folder that is meant; ``None``: the hub's.

    Raises:
        BadInput: neither can be.
    """
    path = Path(name).expanduser()
    if not name.strip() or path.is_file():
        raise _bad(f"{name!r} is no folder of an encoder; give its folder, or its id on the hub")
    is_meant = path.is_dir() or name.startswith((".", "/", "~"))
    is_meant |= name.partition("@")[0].count("/") > 1
    return path if is_meant else None


def read_encoder(folder: Path) -> EncoderFiles:
    """Read what an encoder's folder says.

    Raises:
        BadInput: a file is missing or damaged, only a pickle is there, or the family is another.
    """
    if not folder.is_dir():
        raise _bad(f"there is no folder {folder}; give the folder of an encoder, or its hub id")
    for name in (CONFIG, TOKENIZER, WEIGHTS):
        if not (folder / name).is_file():
            files = {path.name for path in folder.iterdir()}
            raise _bad(_missing(str(folder), name, files, str(folder)))
    config = _json(folder, CONFIG)
    tokenizer = _tokenizer(folder)
    shape = _shape(folder, config, _special_pieces(folder, config, tokenizer))
    with _opened_weights(folder, shape):
        pass  # Their names and sizes fit.
    return EncoderFiles(folder, shape, tokenizer)


def _missing(encoder: str, name: str, files: Collection[str], target: str) -> str:
    """What to do about a file that an encoder lacks.

    Args:
        encoder: its folder, or its id on the hub.
        name: the file.
        files: names of those that it has.
        target: folder into which a missing file can be written.
    """
    if name == WEIGHTS and _PICKLE in files:
        return (
            f"{encoder} has its weights as a pickle ({_PICKLE}), which can run any code; convert "
            f"them where you trust them: {_conversion('AutoModel', encoder, target)}"
        )
    if name == TOKENIZER:
        command = _conversion("AutoTokenizer", encoder, target)
        return f"{encoder} has no {name}; write it: {command}"
    return f"{encoder} has no {name}; give a whole encoder: {CONFIG}, {TOKENIZER} and {WEIGHTS}"


def _conversion(kind: str, encoder: str, target: str) -> str:
    """A command by which the library ``transformers`` writes what a folder lacks.

    Of an encoder of the hub it writes all into a new folder.
    """
    if encoder == target:
        done = f"{kind}.from_pretrained('{encoder}').save_pretrained('{target}')"
        return f'python -c "from transformers import {kind}; {done}"'
    repository, _, revision = encoder.partition("@")
    asked = f"'{repository}', revision='{revision}'" if revision else f"'{repository}'"
    done = f"from_pretrained({asked}).save_pretrained('{target}')"
    return (
        'python -c "from transformers import AutoModel, AutoTokenizer; '
        f'AutoModel.{done}; AutoTokenizer.{done}", and give --encoder {target}'
    )


def _shape(folder: Path, config: Mapping[str, Any], special: Mapping[str, int]) -> EncoderShape:
    family = config.get("model_type")
    if family not in FAMILIES:
        raise _bad(
            f"{folder} is of the kind {family!r}, which cannot be read; give one of "
            f"{', '.join(FAMILIES)}"
        )
    distil = family == "distilbert"
    activation = config.get("activation" if distil else "hidden_act", "gelu")
    if activation not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise _bad(
            f"{folder} has the activation {activation!r}, which is not known; known: {known}"
        )
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise _bad(f"{folder} has relative positions, which are not known; give another encoder")
    try:
        names = _DISTILBERT_SIZES if distil else _BERT_SIZES
        sizes = {field: config[name] for field, name in names.items()}
        sizes["piece_dim"] = config.get("embedding_size", sizes["embed_dim"])
        sizes["segments"] = 0 if distil else config.get("type_vocab_size", 2)
        sizes["norm_epsilon"] = 1e-12 if distil else config.get("layer_norm_eps", 1e-12)
        sizes["output_dropout"] = 0.0 if distil else sizes["dropout"]
        sizes["first_position"] = special["pad"] + 1 if family == "roberta" else 0
        return EncoderShape(family=family, activation=_ACTIVATIONS[activation], **sizes, **special)
    except KeyError as error:
        raise _bad(f"{CONFIG} in {folder} does not say {error}; give a whole encoder") from None
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        raise _bad(f"{CONFIG} in {folder} has no fitting {field}; give a whole encoder") from None


_BERT_SIZES = {
    "pieces": "vocab_size",
    "embed_dim": "hidden_size",
    "ffn_dim": "intermediate_size",
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
    "positions": "max_position_embeddings",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}
_DISTILBERT_SIZES = {
    "pieces": "vocab_size",
    "embed_dim": "dim",
    "ffn_dim": "hidden_dim",
    "heads": "n_heads",
    "layers": "n_layers",
    "positions": "max_position_embeddings",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
}


def _special_pieces(
    folder: Path, config: Mapping[str, Any], tokenizer: Tokenizer
) -> dict[str, int]:
    """Ids of the pieces that are no parts of words."""
    names = {
        "begin": ("[CLS]", "<s>"),
        "end": ("[SEP]", "</s>"),
        "pad": ("[PAD]", "<pad>"),
        "hidden": ("[MASK]", "<mask>", "[UNK]", "<unk>"),
    }
    found: dict[str, int] = {}
    for role, words in names.items():
        ids = [number for word in words if (number := tokenizer.token_to_id(word)) is not None]
        if not ids:
            raise _bad(f"{TOKENIZER} in {folder} has none of {', '.join(words)}; give another")
        found[role] = ids[0]
    for word in ("[UNK]", "<unk>"):
        if (unknown := tokenizer.token_to_id(word)) is not None:
            found["unknown"] = unknown
    if max(found.values()) >= config.get("vocab_size", 0):
        raise _bad(f"{TOKENIZER} in {folder} has more pieces than {CONFIG} says; give a whole one")
    return found


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        return read_tokenizer(folder / TOKENIZER)
    except ValueError as error:
        raise _bad(f"{TOKENIZER} in {folder} cannot be read ({error}); give a whole one") from None


@contextmanager
def _opened_weights(folder: Path, shape: EncoderShape) -> Iterator[tuple[Any, dict[str, str]]]:
    """The open file, and the name in it of each of our parameters.

    Raises:
        BadInput: a weight is missing, or has another size than the configuration says.
    """
    wanted = _names(shape)
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            stored = {_plain_name(key, shape.family): key for key in file.keys()}  # noqa: SIM118
            missing = [name for name in wanted.values() if name not in stored]
            if missing:
                raise _bad(
                    f"{WEIGHTS} in {folder} has no {missing[0]}; its files are not of one encoder"
                )
            names = {ours: stored[name] for ours, name in wanted.items()}
            for ours, size in _sizes(shape).items():
                found = tuple(file.get_slice(names[ours]).get_shape())
                if found != size:
                    raise _bad(
                        f"{names[ours]} of {WEIGHTS} in {folder} is {found}, and {CONFIG} says "
                        f"{size}; its files are not of one encoder"
                    )
            yield file, names
    except (OSError, SafetensorError) as error:
        raise _bad(f"{WEIGHTS} in {folder} cannot be read ({error}); download it again") from None


def _sizes(shape: EncoderShape) -> dict[str, tuple[int, ...]]:
    """Sizes of the matrices that everything else follows from."""
    sizes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (shape.pieces, shape.piece_dim),
        "position.weight": (shape.positions, shape.piece_dim),
    }
    for layer in range(shape.layers):
        sizes[f"layers.{layer}.linear1.weight"] = (shape.ffn_dim, shape.embed_dim)
    return sizes


def _names(shape: EncoderShape) -> dict[str, str]:
    """Each parameter of ours, and its name in the file without the family's prefix."""
    distil = shape.family == "distilbert"
    names = {
        "embedding.weight": "embeddings.word_embeddings.weight",
        "position.weight": "embeddings.position_embeddings.weight",
        "norm.weight": "embeddings.LayerNorm.weight",
        "norm.bias": "embeddings.LayerNorm.bias",
    }
    if shape.segments:
        names["segment.weight"] = "embeddings.token_type_embeddings.weight"
    if shape.piece_dim != shape.embed_dim:
        names |= {f"project.{part}": f"embeddings_project.{part}" for part in ("weight", "bias")}
    block, stack = (_DISTILBERT_BLOCK, "transformer") if distil else (_BERT_BLOCK, "encoder")
    for layer in range(shape.layers):
        for ours, theirs in block.items():
            for part in ("weight", "bias"):
                names[f"layers.{layer}.{ours}.{part}"] = f"{stack}.layer.{layer}.{theirs}.{part}"
    return names


def _plain_name(key: str, family: str) -> str:
    """A weight's name without the prefix that a head puts before it, and in today's spelling."""
    start, _, last = key.removeprefix(f"{family}.").rpartition(".")
    return f"{start}.{_OLD_NAMES.get(last, last)}"


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(f"{name} in {folder} cannot be read ({error}); give a whole encoder") from None
    if not isinstance(found, dict):
        raise _bad(f"{name} in {folder} is no object; give a whole encoder")
    return found


def _bad(sentence: str) -> BadInput:
    return BadInput("encoder", sentence)
