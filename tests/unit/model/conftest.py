from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from safr_study.model import SafrClassifier, build_model
from safr_study.settings import ModelShape, Preset


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden files; tests that need it are skipped without it."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "golden"
    folder = Path(os.environ.get("SAFR_STUDY_GOLDEN", beside))
    if not folder.is_dir():
        pytest.skip("no golden files: set SAFR_STUDY_GOLDEN to their folder")
    return folder


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
