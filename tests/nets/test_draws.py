"""Each sampler draws what it drew, on recorded ledgers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nets.draws import ASKS, DRAWS, SAMPLERS, next_draws
from nets.old_home import unpacked

TOLERANCE = 1e-6
"""Relative. A model's draws (``tpe``, ``gp``) hang on the last bits of its sums, which processors
and versions round differently; no ask depends on the draw of another, so they do not add up. The
others draw the same to the last bit, everywhere."""


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
    drawn = next_draws(recorded, sampler, tmp_path / "cut")
    expected = json.loads(DRAWS.read_text("utf-8"))[sampler]
    assert len(drawn) == len(expected) == ASKS
    exact = sampler not in ("tpe", "gp")
    for number, (new, old) in enumerate(zip(drawn, expected, strict=True)):
        assert new == (old if exact else _nearly(old)), f"ask {number}"


def _nearly(drawn: dict[str, Any]) -> dict[str, Any]:
    return {
        name: pytest.approx(value, rel=TOLERANCE) if isinstance(value, float) else value
        for name, value in drawn.items()
    }
