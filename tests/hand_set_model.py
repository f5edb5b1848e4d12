"""A model whose one neuron carries the class, and texts for it.

Attention and norms do nothing; neuron 0 fires on the cues alone, the others on all other words,
which FFN2 gives rows about as long; the classifier reads what neuron 0 writes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from safr_study.data import EncodedSplit
from safr_study.model import SafrClassifier, build_model
from safr_study.settings import ModelShape

WORDS = 30
CUES = (2, 3)


def hand_set(*, reads: int = 0) -> SafrClassifier:
    """Class 1 where a cue is; ``reads``: the neuron whose dimension the classifier reads."""
    model = build_model(
        ModelShape(embed_dim=8, ffn_dim=16, heads=1, vmask=False),
        preset="masked", vocabulary_size=WORDS, classes=2, max_len=20, seed=0,
    ).double().eval()  # fmt: skip
    (block,) = model.layers
    block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.positions.zero_()
        model.embedding.weight[list(CUES), 0] = 10.0
        model.embedding.weight[4:, 1:4] = torch.rand(WORDS - 4, 3, generator=draws).double()
        block.ff.linear1.weight[0, 0] = 1.0
        block.ff.linear1.weight[1:, 1:4] = torch.rand(15, 3, generator=draws).double()
        block.ff.linear2.weight[4, 0] = 1.0
        block.ff.linear2.weight[5:, 1:] = torch.rand(3, 15, generator=draws).double()
        model.fc.weight[1, 4 if reads == 0 else 7] = 1.0
        model.fc.bias[0] = 0.5
    return model


def cue_split(texts: int = 60) -> EncodedSplit:
    """Texts of four to nine words, every second one with one cue."""
    rng = np.random.default_rng(4)
    rows = [rng.integers(4, WORDS, rng.integers(4, 10)) for _ in range(texts)]
    for row in rows[::2]:
        row[rng.integers(len(row))] = rng.choice(CUES)
    return EncodedSplit(
        tokens=np.concatenate(rows).astype(np.int32),
        offsets=np.cumsum([0, *map(len, rows)]),
        labels=np.arange(texts) % 2,
    )


def cue_scores(split: EncodedSplit) -> NDArray[np.float64]:
    return np.isin(split.tokens, CUES).astype(np.float64)
