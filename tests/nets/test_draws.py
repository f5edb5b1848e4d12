"""Each sampler draws what it drew, on recorded ledgers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nets.draws import ASKS, DRAWS, SAMPLERS, next_draws
from nets.old_home import unpacked

TOLERANCE = 1e-6
"""Relative. The draws of a model (``tpe``, ``gp``) and of crossover's powers (``nsga2``) hang on
last bits, which processors and versions round differently; no ask depends on the draw of another,
so they do not add up. The others draw the same to the last bit, everywhere."""
ROUNDED = ("tpe", "gp", "nsga2")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small matrices: more threads than one wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_next_draws_are_the_frozen_ones(sampler: str, tmp_path: Path) -> None:
    recorded = unpacked("draws", tmp_path)
    expected = json.loads(DRAWS.read_text("utf-8"))[sampler]
    assert len(expected) == ASKS
    # A Gaussian process takes a second for each: every fourth in a push, all at night.
    some = sampler == "gp" and "SAFR_TEST_EXAMPLES" not in os.environ
    asks = range(0, ASKS, 4 if some else 1)
    drawn = next_draws(recorded, sampler, tmp_path / "cut", asks)
    for number, new in zip(asks, drawn, strict=True):
        old = expected[number]
        assert new == (_nearly(old) if sampler in ROUNDED else old), f"ask {number}"


def _nearly(drawn: dict[str, Any]) -> dict[str, Any]:
    return {
        name: pytest.approx(value, rel=TOLERANCE) if isinstance(value, float) else value
        for name, value in drawn.items()
    }
