from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from safr_study.training.adam import DENSE_STEPS, EmbeddingAdam

WORDS, WIDTH = 40, 4
Gradients = list[tuple[Tensor, Tensor]]
Rates = np.ndarray | None
RISING_AND_FALLING = 1e-2 * np.concatenate([np.arange(1, 121) / 120, np.arange(280, 0, -1) / 280])
"""Learning rates of 400 steps."""


def gradients(steps: int, *, seed: int = 0) -> Gradients:
    """Rows and their gradients for each step: from each step's words to one in a thousand steps.

    Their sizes run over ten powers of ten, down to where Adam's epsilon rules.
    """
    rng = np.random.default_rng(seed)
    often = 1.0 / np.arange(1, WORDS + 1) ** 2
    found: Gradients = []
    for _ in range(steps):
        rows = np.flatnonzero(rng.random(WORDS) < often)
        sizes = 10.0 ** rng.uniform(-10, 0, (len(rows), 1))
        values = rng.standard_normal((len(rows), WIDTH)) * sizes
        found.append((torch.from_numpy(rows), torch.from_numpy(values).float()))
    return found


def start(dtype: torch.dtype = torch.float32) -> tuple[nn.Embedding, torch.optim.Adam]:
    embedding = nn.Embedding(WORDS, WIDTH)
    values = torch.randn(WORDS, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        embedding.weight.copy_(values)
    embedding = embedding.to(dtype)
    return embedding, torch.optim.Adam(embedding.parameters(), lr=1e-2, fused=True)


def dense(
    steps: Gradients,
    dtype: torch.dtype,
    before: dict[int, Tensor] | None = None,
    rates: Rates = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weights and moments after all steps; those of `before` are filled before theirs."""
    embedding, optimizer = start(dtype)
    for number, (rows, values) in enumerate(steps):
        if before is not None:
            before[number] = embedding.weight.detach().clone()
        embedding.weight.grad = torch.zeros_like(embedding.weight)
        embedding.weight.grad[rows] = values.to(dtype)
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[number]
        optimizer.step()
    return embedding.weight.detach(), optimizer.state[embedding.weight]


def by_rows(
    steps: Gradients, embedding: nn.Embedding, optimizer: torch.optim.Adam, rates: Rates = None
) -> list[Tensor]:
    """What each lookup saw."""
    seen = []
    with EmbeddingAdam(embedding, optimizer, rates) as adam:
        for rows, values in steps:
            looked_up = embedding(rows)
            seen.append(looked_up.detach().clone())
            optimizer.zero_grad()
            (looked_up * values).sum().backward()
            adam.step()
            optimizer.step()
    return seen


def errors(found: Tensor, exact: Tensor) -> float:
    return float((found.detach().double() - exact).abs().max())


@pytest.mark.parametrize("steps", [1, DENSE_STEPS, DENSE_STEPS + 1, 150, 400])
def test_rows_end_where_dense_adam_takes_them(steps: int) -> None:
    found = gradients(steps)
    embedding, optimizer = start()
    by_rows(found, embedding, optimizer)
    exact, moments = dense(found, torch.float64)
    rounded, rounded_moments = dense(found, torch.float32)
    assert errors(embedding.weight, exact) <= max(2e-6, errors(rounded, exact))
    state = optimizer.state[embedding.weight]
    assert state["step"] == moments["step"] == steps
    for name in ("exp_avg", "exp_avg_sq"):
        bound = max(1e-9, 2 * errors(rounded_moments[name], moments[name]))
        assert errors(state[name], moments[name]) <= bound, name


def test_a_lookup_sees_the_row_as_dense_adam_has_it() -> None:
    found = gradients(400)
    embedding, optimizer = start()
    seen = by_rows(found, embedding, optimizer)
    exact: dict[int, Tensor] = {}
    dense(found, torch.float64, exact)
    for step in (99, 100, 101, 200, 399):
        assert errors(seen[step], exact[step][found[step][0]]) < 2e-6
    # Without the steps that a row missed it is somewhere else.
    last = exact[399]
    only = [(rows[rows == 5], values[rows == 5]) for rows, values in found[:399]]
    only = [(rows, values) for rows, values in only if len(rows)]
    assert (dense(only, torch.float64)[0][5] - last[5]).abs().max() > 1e-3


@pytest.mark.parametrize("parts", [(400,), (130, 10, 260), (90, 30)])
def test_learning_rates_that_change_are_followed(parts: tuple[int, ...]) -> None:
    found = gradients(sum(parts))
    embedding, optimizer = start()
    done = 0
    for part in parts:
        by_rows(found[done : done + part], embedding, optimizer, RISING_AND_FALLING)
        done += part
    exact, moments = dense(found, torch.float64, rates=RISING_AND_FALLING)
    assert errors(embedding.weight, exact) < 2e-6
    assert errors(optimizer.state[embedding.weight]["exp_avg"], moments["exp_avg"]) < 1e-7
    # With the same rate everywhere the rows are somewhere else.
    assert errors(dense(found, torch.float64)[0], exact) > 1e-3


def test_epochs_one_after_the_other_go_on_where_the_last_ended() -> None:
    found = gradients(330)
    embedding, optimizer = start()
    for part in (found[:130], found[130:140], found[140:]):
        by_rows(part, embedding, optimizer)
    exact, _ = dense(found, torch.float64)
    assert errors(embedding.weight, exact) < 2e-6


def test_an_interrupted_epoch_leaves_all_rows_at_the_last_step() -> None:
    found = gradients(200)
    embedding, optimizer = start()

    def interrupted() -> None:
        with EmbeddingAdam(embedding, optimizer) as adam:
            for rows, values in found:
                optimizer.zero_grad()
                (embedding(rows) * values).sum().backward()
                adam.step()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    exact, _ = dense(found, torch.float64)
    assert errors(embedding.weight, exact) < 2e-6
    assert not embedding.sparse
    embedding(torch.tensor([1, 1])).sum().backward()
    assert not embedding.weight.grad.is_sparse  # type: ignore[union-attr]


def test_an_adam_with_weight_decay_is_refused() -> None:
    embedding = nn.Embedding(3, 2)
    decaying = torch.optim.Adam(embedding.parameters(), weight_decay=0.1)
    with pytest.raises(ValueError, match="plain Adam"):
        EmbeddingAdam(embedding, decaying)
