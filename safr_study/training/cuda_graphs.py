"""Training steps on a GPU as CUDA graphs: recorded once for each shape of a batch, then replayed.

A step of a small model is some hundred kernels of a few microseconds. The CPU needs ten times as
long to start them one by one as the GPU to run them; a graph starts all of them at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from safr_study.data import Batch

SWITCH = "SAFR_STUDY_CUDA_GRAPHS"
"""Environment variable: 0 starts every kernel by itself. No number depends on it."""
LENGTHS = 8
"""Texts are padded up to a multiple of this, so that few shapes are recorded."""
Losses = dict[str, Tensor]
Work = Callable[[Tensor, Tensor, int | None], Losses]
"""One whole step on ids ``[B, L]``, labels ``[B]`` and with room for so many pieces: its losses by
term."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Recorded:
    """A step, and where it reads and writes."""

    graph: torch.cuda.CUDAGraph
    ids: Tensor
    labels: Tensor
    losses: Losses


class GraphedSteps:
    """Runs the steps of one training.

    The first step of a shape is run as it is, for the libraries to make ready; at the second it is
    recorded, and from then on replayed. All shapes share the memory of their temporaries.

    Args:
        device: a GPU.
        longest: words of the longest text there may be; with an encoder its pieces.
    """

    def __init__(self, device: torch.device, longest: int) -> None:
        self.noise = torch.Generator(device)
        """Decides dropout and gates; the graphs know this one, so each epoch seeds it again."""
        self._device = device
        self._longest = longest
        self._records = os.environ.get(SWITCH) != "0"
        self._pool = torch.cuda.graph_pool_handle()
        self._recorded: dict[tuple[int, ...], _Recorded] = {}
        self._seen: set[tuple[int, ...]] = set()

    def run(self, batch: Batch, work: Work, forget_gradients: Callable[[], None]) -> Losses:
        """One step; the losses are overwritten by the next.

        Args:
            batch: texts and labels.
            work: does the step, and looks at no number of it.
            forget_gradients: sets those of all parameters to ``None``.
        """
        pieces = None if batch.pieces is None else wanted_length(batch.pieces, self._longest)
        # As many words as pieces: so one length decides the shapes, of which there are fewer.
        ids = torch.from_numpy(padded(batch.ids, self._longest, pieces)).pin_memory()
        labels = torch.from_numpy(batch.labels).pin_memory()
        shape = tuple(ids.shape)
        known = self._recorded.get(shape)
        if known is None and (shape not in self._seen or not self._records):
            self._seen.add(shape)
            forget_gradients()
            return work(
                ids.to(self._device, non_blocking=True),
                labels.to(self._device, non_blocking=True),
                pieces,
            )
        if known is None:
            known = self._record(ids, labels, pieces, work, forget_gradients)
            if known is None:
                return self.run(batch, work, forget_gradients)
            self._recorded[shape] = known
        known.ids.copy_(ids, non_blocking=True)
        known.labels.copy_(labels, non_blocking=True)
        known.graph.replay()
        return known.losses

    def _record(
        self,
        ids: Tensor,
        labels: Tensor,
        pieces: int | None,
        work: Work,
        forget_gradients: Callable[[], None],
    ) -> _Recorded | None:
        """Record a step without running it; ``None`` where that fails, and none is from now on."""
        there = ids.to(self._device), labels.to(self._device)
        forget_gradients()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.noise)
        try:
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                losses = work(*there, pieces)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            _log.warning("a training step cannot be recorded as a CUDA graph (%s)", error)
            self._records = False
            forget_gradients()
            return None
        return _Recorded(graph, *there, losses)


def padded(
    ids: npt.NDArray[np.int64], longest: int, wanted: int | None = None
) -> npt.NDArray[np.int64]:
    """Ids ``[B, L]`` with PAD (0) up to a length: `wanted_length`, or what is given."""
    length = ids.shape[1]
    return np.pad(ids, ((0, 0), (0, (wanted or wanted_length(length, longest)) - length)))


def wanted_length(length: int, longest: int) -> int:
    """The multiple of ``LENGTHS`` from ``length`` on, or the longest length that there is."""
    return max(length, min(-(-length // LENGTHS) * LENGTHS, longest))
