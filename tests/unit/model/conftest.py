from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from safr_study.model import SafrClassifier, build_model
from safr_study.settings import ModelShape, Preset


@pytest.fixture
def small() -> Callable[..., SafrClassifier]:
    """Build a small float64 model in evaluation mode."""

    def build(
        preset: Preset = "masked", seed: int = 0, max_len: int = 12, **shape: object
    ) -> SafrClassifier:
        sizes = {"embed_dim": 8, "ffn_dim": 12, "heads": 2, "mask_hidden_dim": 6, **shape}
        model = build_model(
            ModelShape.parse(sizes),
            preset=preset,
            vocabulary_size=20,
            classes=3,
            max_len=max_len,
            seed=seed,
        )
        return model.to(torch.float64).eval()

    return build
