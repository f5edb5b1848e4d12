"""What of the recorded steps runs without a GPU; tests/gpu has the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from safr_study.data import Batch
from safr_study.training.cuda_graphs import LENGTHS, GraphedSteps, Losses, padded


@pytest.mark.parametrize(
    ("length", "longest", "expected"),
    [(1, 128, 8), (8, 128, 8), (9, 128, 16), (121, 128, 128), (100, 100, 100), (97, 100, 100)],
)
def test_texts_get_few_lengths_and_no_more_positions_than_there_are(
    length: int, longest: int, expected: int
) -> None:
    ids = np.arange(1, 2 * length + 1, dtype=np.int64).reshape(2, length)
    found = padded(ids, longest)
    assert found.shape == (2, expected)
    np.testing.assert_array_equal(found[:, :length], ids)
    assert not found[:, length:].any()


def test_the_lengths_of_a_corpus_are_few() -> None:
    lengths = {padded(np.ones((1, n), np.int64), 128).shape[1] for n in range(1, 129)}
    assert lengths == set(range(LENGTHS, 129, LENGTHS))


class NoGraph:
    """CUDA's graph where there is no CUDA."""

    def register_generator_state(self, noise: torch.Generator) -> None:
        assert noise.device.type == "cpu"


@contextlib.contextmanager
def refusing(_graph: NoGraph, **_options: object) -> Iterator[None]:
    raise RuntimeError("operation not permitted when stream is capturing")
    yield


def test_a_step_that_cannot_be_recorded_is_run_as_it_is_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The recording itself is left out here: only a GPU has it."""
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", NoGraph)
    monkeypatch.setattr(torch.cuda, "graph", refusing)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    steps = GraphedSteps(torch.device("cpu"), longest=16)
    forgotten = 0

    def forget() -> None:
        nonlocal forgotten
        forgotten += 1

    def work(ids: Tensor, labels: Tensor, pieces: int | None) -> Losses:
        assert pieces is None
        return {"total": ids.sum() + labels.sum()}

    totals = []
    for number in range(1, 5):
        ids = np.full((2, 5), number, np.int64)
        batch = Batch(ids, ids != 0, np.array([5, 5]), np.array([0, 1]), np.array([0, 1]))
        totals.append(int(steps.run(batch, work, forget)["total"]))
    assert totals == [11, 21, 31, 41]
    # Before each of the four steps, and around the recording that failed.
    assert forgotten == 6
    assert caplog.text.count("cannot be recorded") == 1
