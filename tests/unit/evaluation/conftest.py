from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from safr_study.data import EncodedSplit


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny products are slower on several threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def ragged_split() -> EncodedSplit:
    """Sixty texts of 0 to 12 tokens, two classes, words 2 to 29; two texts are empty."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 13, size=60)
    lengths[[4, 31]] = 0
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return EncodedSplit(
        tokens=rng.integers(2, 30, size=offsets[-1]).astype(np.int32),
        offsets=offsets,
        labels=rng.integers(0, 2, size=60),
        rationale=rng.integers(0, 2, size=offsets[-1]).astype(np.int8),
    )
