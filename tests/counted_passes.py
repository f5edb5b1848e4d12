"""How many texts and batches an evaluation runs through a model, whichever way it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from safr_study.data import Batch
from safr_study.evaluation.prediction import Predictor


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the number of texts of each batch that is run."""
    run: list[int] = []
    for name in ("_batch", "_gradient"):
        monkeypatch.setattr(Predictor, name, _counting(getattr(Predictor, name), run))
    return run


def _counting(whole: Callable[..., Any], run: list[int]) -> Callable[..., Any]:
    def counting(self: Predictor, batch: Batch, *rest: Any) -> Any:
        run.append(len(batch.index))
        return whole(self, batch, *rest)

    return counting
