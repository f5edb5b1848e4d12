"""A small corpus in which one word tells each class, and settings that train in a moment."""

from __future__ import annotations

import numpy as np
import pytest

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.settings import ModelShape, Penalties, TrainConfig

WORDS = ["<pad>", "<unk>", *(f"filler{i}" for i in range(16)), "good", "bad"]
CUES = (18, 19)


def split_of(texts: list[list[int]], labels: list[int]) -> EncodedSplit:
    return EncodedSplit(
        tokens=np.array([word for text in texts for word in text], dtype=np.int32),
        offsets=np.cumsum([0, *(len(text) for text in texts)]),
        labels=np.array(labels, dtype=np.int64),
    )


def cue_split(examples: int, seed: int) -> EncodedSplit:
    """Fillers around the one word that tells the class, an empty and a one-word text among them."""
    rng = np.random.default_rng(seed)
    texts: list[list[int]] = []
    labels = []
    for number in range(examples):
        label = number % 2
        text = rng.integers(2, 18, rng.integers(1, 7)).tolist()
        text.insert(rng.integers(0, len(text) + 1), CUES[label])
        texts.append([] if number == 4 else text[:1] if number == 5 else text)
        labels.append(label)
    return split_of(texts, labels)


@pytest.fixture(scope="session")
def corpus() -> EncodedCorpus:
    """Two classes, each with its cue."""
    return EncodedCorpus(
        name="cues",
        slug="cues",
        source="made for the test",
        fingerprint="0" * 64,
        class_names=("good", "bad"),
        max_len=8,
        vocabulary_bytes=np.frombuffer("\n".join(WORDS).encode(), dtype=np.uint8),
        train=cue_split(120, 0),
        dev=cue_split(60, 1),
        test=None,
        counts={"vocabulary": len(WORDS)},
    )


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    """A model that trains in a moment, both penalties on."""
    return TrainConfig(
        shape=ModelShape(embed_dim=16, ffn_dim=32, heads=2, mask_hidden_dim=16),
        penalties=Penalties(lambda_imp=0.1, lambda_inter=0.1),
        learning_rate=3e-3,
        batch_size=16,
        epochs=4,
        patience=4,
    )
