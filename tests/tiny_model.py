"""A small untrained model in a folder, as a pulled one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from safr_study.checkpoint.model_files import save_model
from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.model import build_model
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig

WORDS = ("<pad>", "<unk>", "the", "a", "film", "is", "was", "good", "bad", ",", ".", "and")
CLASSES = ("bad", "fair", "good")
MAX_LEN = 16
EMPTY = EncodedSplit(
    tokens=np.zeros(0, np.int32), offsets=np.zeros(1, np.int64), labels=np.zeros(0, np.int64)
)


def save_tiny_model(
    folder: Path,
    *,
    seed: int = 0,
    preset: str = "masked",
    max_len: int = MAX_LEN,
    pairs: bool = False,
    texts: str = "both",
    spec: CorpusSpec | None = None,
    words: Sequence[str] = WORDS,
    **shape: object,
) -> Path:
    """The folder of a model of three classes over some words; ``shape`` changes its sizes."""
    vocabulary = (*words[:2], "<sep>", *words[2:]) if pairs else words
    columns = {"text_column": "premise", "second_column": "hypothesis"} if pairs else {}
    sizes = {"embed_dim": 8, "ffn_dim": 12, "heads": 2, "mask_hidden_dim": 6, **shape}
    off = {"lambda_imp": None, "lambda_inter": None}
    penalties = {} if sizes.get("vmask", True) else off
    config = TrainConfig.parse(
        {"shape": sizes, "preset": preset, "penalties": penalties, "texts": texts}
    )
    model = build_model(
        config.shape,
        preset=config.preset,
        vocabulary_size=len(vocabulary),
        classes=len(CLASSES),
        max_len=max_len,
        seed=seed,
        pairs=pairs,
    )
    corpus = EncodedCorpus(
        name="tiny",
        slug="tiny",
        source="made for the test",
        fingerprint="0" * 64,
        class_names=CLASSES,
        max_len=max_len,
        vocabulary_bytes=np.frombuffer("\n".join(vocabulary).encode(), dtype=np.uint8),
        train=EMPTY,
        dev=EMPTY,
        test=None,
        counts={"vocabulary": len(vocabulary)},
    )
    save_model(
        folder,
        model,
        config=config,
        corpus=corpus,
        spec=spec or CorpusSpec(dataset="pairs.csv" if pairs else "planted", **columns),
        evaluation=EvaluationConfig(),
        scores=None,
        epoch=2,
    )
    return folder
