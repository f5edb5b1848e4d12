"""Encoded corpora on disk: read back through memory maps, rebuilt when anything is off."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from safr_study.data.corpus import Concern
from safr_study.data.encoder_files import find_encoder
from safr_study.data.encoding import (
    SPLIT_NAMES,
    EncodedCorpus,
    EncodedSplit,
    encode_corpus,
    named_arrays,
)
from safr_study.data.loading import find_source, load_source
from safr_study.data.pieces import WordPieces
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec, EncoderShape, fingerprint_of

SCHEMA_VERSION = 4
"""Version of an entry; raise it when the files or the encoding change."""
_FACTS = "corpus.json"
_PLAIN_FIELDS = ("name", "slug", "source", "fingerprint", "max_len")
_log = logging.getLogger(__name__)


def encoded_corpus(spec: CorpusSpec, cache: Path | None = None) -> EncodedCorpus:
    """Load and encode a data set, through a cache where a folder for it is given.

    An entry is known by the settings and by the content of the source, so a changed file is never
    answered from the cache. A broken entry, or one of another version, is rebuilt.

    Raises:
        BadInput: the data cannot be used, or the cache cannot be written.
        ServiceUnreachable: the data set is nowhere on this machine and the hub does not answer.
    """
    source = find_source(spec)
    if cache is None:
        return encode_corpus(load_source(source, spec), spec)
    encoder = None if spec.encoder is None else find_encoder(spec.encoder).sha256
    # What a study may begin with changes nothing about the texts.
    plain = spec.model_dump(mode="json", exclude={"allow_small", "allow_duplicates"})
    key = fingerprint_of({"spec": plain, "source": source.identity, "encoder": encoder})
    entry = cache / key[:32]
    # One that is there takes its name when it is whole: a home that may only be read has no lock.
    stored = _read_entry(entry)
    try:
        if stored is None:
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(entry.with_suffix(".lock")):
                stored = _read_entry(entry)
                if stored is None:
                    _write_entry(entry, encode_corpus(load_source(source, spec), spec))
                    stored = _read_entry(entry)
    except OSError as error:
        raise BadInput(
            "home", f"the corpus cache {cache} cannot be used ({error}); choose another --home"
        ) from error
    if stored is None:
        raise BadInput("home", f"the corpus cache {cache} does not keep what is written to it")
    return replace(stored, source=source.phrase)


def _write_entry(entry: Path, corpus: EncodedCorpus) -> None:
    """Write an entry, into a folder next to it that takes its name when whole."""
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=f"{entry.name}.") as folder:
        part = Path(folder) / "entry"
        part.mkdir()
        arrays = named_arrays(corpus.vocabulary_bytes, corpus.splits)
        pieces = corpus.pieces
        if pieces is not None:
            arrays |= {"pieces.offsets": pieces.offsets, "pieces.ids": pieces.pieces}
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        fields = (*_PLAIN_FIELDS, "class_names", "counts")
        facts = {
            "schema": SCHEMA_VERSION,
            **{field: getattr(corpus, field) for field in fields},
            "encoder": None
            if pieces is None
            else [pieces.encoder, pieces.sha256, pieces.shape.model_dump(mode="json")],
            "concerns": [asdict(concern) for concern in corpus.concerns],
            "sha256": {name: _sha256(array) for name, array in arrays.items()},
        }
        (part / _FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(entry, ignore_errors=True)
        part.rename(entry)


def _read_entry(entry: Path) -> EncodedCorpus | None:
    """The entry, or ``None`` where there is none, or none that is whole and of this version."""
    if not entry.exists():
        return None
    try:
        facts = json.loads((entry / _FACTS).read_text(encoding="utf-8"))
        if facts["schema"] != SCHEMA_VERSION:
            return None
        # Read-only over the files; of the base class, which Ray ships without a copy.
        arrays = {
            name: np.asarray(np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False))
            for name in facts["sha256"]
        }
        broken = [name for name, sha in facts["sha256"].items() if _sha256(arrays[name]) != sha]
        if broken:
            raise ValueError(f"{', '.join(broken)} changed on disk")
        return _corpus(facts, arrays)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("cached corpus %s is broken (%s): it is made again", entry.name, error)
        return None


def _corpus(facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> EncodedCorpus:
    splits: dict[str, Any] = {
        name: EncodedSplit(
            arrays[f"{name}.tokens"],
            arrays[f"{name}.offsets"],
            arrays[f"{name}.labels"],
            arrays.get(f"{name}.rationale"),
            arrays.get(f"{name}.groups"),
            arrays.get(f"{name}.second"),
        )
        for name in SPLIT_NAMES
        if name != "test" or "test.tokens" in arrays
    }
    pieces = None
    if facts["encoder"] is not None:
        name, sha256, shape = facts["encoder"]
        pieces = WordPieces(
            name,
            sha256,
            EncoderShape(**shape),
            arrays["pieces.offsets"],
            arrays["pieces.ids"],
        )
    return EncodedCorpus(
        pieces=pieces,
        **{field: facts[field] for field in _PLAIN_FIELDS},
        class_names=tuple(facts["class_names"]),
        counts=facts["counts"],
        concerns=tuple(Concern(**concern) for concern in facts["concerns"]),
        vocabulary_bytes=arrays["vocabulary"],
        **splits,
    )


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
