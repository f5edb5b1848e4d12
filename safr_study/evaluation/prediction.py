"""One pass of a model over a split: logits, and the capacity of every token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from safr_study.data import Batch, EncodedSplit, evaluation_batches
from safr_study.errors import TrialFailure
from safr_study.evaluation.capacity import capacity
from safr_study.model import SafrOutput
from safr_study.settings import CapacityLayer


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """A model and the way its texts are batched, so that a number is repeated exactly."""

    model: nn.Module
    """Maps ids `[B, L]` (0 = PAD) to a `SafrOutput`; run in evaluation mode."""
    batch_size: int
    pad_to: int | None
    """Length of every batch; ``None``: its longest text."""
    device: torch.device
    """Where the model's weights are."""

    def logits(self, split: EncodedSplit) -> NDArray[np.float64]:
        """Logits `[N, C]` of the split's texts.

        Raises:
            TrialFailure: a logit is not finite.
        """
        return self._run(split, None)[0]

    def classes(self, split: EncodedSplit) -> NDArray[np.int64]:
        """Predicted classes `[N]`; the first of equal logits.

        Raises:
            TrialFailure: a logit is not finite.
        """
        classes: NDArray[np.int64] = self.logits(split).argmax(axis=1)
        return classes

    def logits_and_capacity(
        self, split: EncodedSplit, layer: CapacityLayer
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits `[N, C]`, and each token's capacity `[T]` in `layer` of the last block.

        Raises:
            TrialFailure: a logit or a capacity is not finite.
        """
        return self._run(split, layer)

    def _run(
        self, split: EncodedSplit, layer: CapacityLayer | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows: list[NDArray[np.int64]] = []
        logits: list[NDArray[np.float64]] = []
        capacities = np.zeros(len(split.tokens))
        with _evaluation_mode(self.model), torch.inference_mode():
            for batch in evaluation_batches(split, self.batch_size, pad_to=self.pad_to):
                rows.append(batch.index)
                found, measured = self._batch(batch, layer)
                logits.append(found)
                if measured is not None:
                    columns = np.arange(measured.shape[1])
                    real = columns < batch.lengths[:, None]  # [B, L]
                    places = split.offsets[batch.index, None] + columns
                    capacities[places[real]] = measured[real]
        order = np.argsort(np.concatenate(rows))
        return np.concatenate(logits)[order], capacities

    def _batch(
        self, batch: Batch, layer: CapacityLayer | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Logits `[B, C]` and capacities `[B, L]`; frees all else before the next batch."""
        ids = torch.from_numpy(batch.ids).to(self.device)
        output: SafrOutput = self.model(ids)
        logits = _finite(output.logits, "logits")
        if layer is None:
            return logits, None
        return logits, _finite(capacity(getattr(output, layer)[-1], ids != 0), "capacities")


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _finite(values: Tensor, what: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.double().cpu().numpy()
    if not np.isfinite(found).all():
        raise TrialFailure(
            f"the model's {what} are not finite numbers; its training diverged: "
            "take a smaller learning rate or smaller lambdas"
        )
    return found
