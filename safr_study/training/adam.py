"""The numbers of torch's Adam in less time: the embedding row by row, the rest in one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

DENSE_STEPS = 100
"""Steps that are taken for every row at once: so early the bias corrections change too fast for
the closed form."""
_TAIL = 400
"""Steps after which (beta_1 / sqrt(beta_2))^s is below the resolution of float64."""
_ELEMENTS = 2**18
"""Elements that are brought up to date together: few enough for the cache."""


class EmbeddingAdam:
    """Updates the rows of an embedding when they are next looked up, not at every step.

    Under dense Adam a row without gradient still moves, as its moments decay; with tens of
    thousands of words that is most of the work of a step. Here a row is left alone until its word
    comes up again, and then makes up for the n steps that it missed after step a in closed form:

        m <- beta_1^n m,  v <- beta_2^n v,  w <- w - m sum_{s=1..n} c_s / (sqrt(v) + e_s)
        c_s = lr r^s sqrt(b_2(a + s)) / b_1(a + s),  r = beta_1 / sqrt(beta_2)
        e_s = eps sqrt(b_2(a + s)) / beta_2^(s / 2),  b_i(t) = 1 - beta_i^t

    The e_s that count lie close together (r^s falls fast), so the sum is expanded about their mean
    to the third moment. The error is below the rounding of the n additions that are saved. lr is
    that of step a + s, a part of c_s where it is not the same in all steps.

    A context manager; inside, training works as ever but for ``step`` after the optimiser's own.
    Afterwards all rows, and the optimiser's state, are those of dense Adam.

    Args:
        embedding: its ``forward`` must be given distinct rows when gradients are wanted.
        optimizer: Adam with this weight among its parameters, without weight decay.
        rates: ``[steps]``, the learning rate of each step from the optimiser's first on, above 0;
            ``None``: that of the optimiser, in every step.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        optimizer: torch.optim.Adam,
        rates: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._embedding = embedding
        self._weight = embedding.weight
        self._settings = _settings(optimizer)
        self._rates, self._eps = rates, self._settings["eps"]
        self._rate = self._settings["lr"] if rates is None else float(rates.max())
        self._betas = self._settings["beta1"], self._settings["beta2"]
        self._state = _state(optimizer, self._weight)
        self._step = int(self._state["step"])
        self._last = np.full(len(self._weight), self._step)
        shares = None if rates is None else rates / self._rate
        self._sums = _Sums(self._betas, self._step, shares)

    def __enter__(self) -> Self:
        self._sparse = self._embedding.sparse
        self._embedding.sparse = True
        self._hook = self._embedding.register_forward_pre_hook(self._before_lookup)
        return self

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        self._embedding.sparse = self._sparse
        behind = np.flatnonzero(self._last < self._step)
        size = max(1, _ELEMENTS // self._weight.shape[1])
        for start in range(0, len(behind), size):
            self._catch_up(behind[start : start + size])

    @torch.no_grad()
    def step(self) -> None:
        """Take the step of the gradients of the last backward pass, which are then dropped."""
        gradient = self._weight.grad
        if gradient is None:
            return
        self._weight.grad = None
        rows, values = gradient._indices()[0], gradient._values()
        touched = [table.index_select(0, rows) for table in self._tables()]
        if self._step < DENSE_STEPS:
            self._decay_all()
        weight, first, second = touched
        after = [self._state["step"] + 1]
        now = {**self._settings, "lr": self._rate_now()}
        torch._fused_adam_([weight], [values], [first], [second], [], after, **now)
        for table, updated in zip(self._tables(), touched, strict=True):
            table.index_copy_(0, rows, updated)
        self._step += 1
        self._state["step"] += 1
        self._last[rows.numpy()] = self._step
        if self._step <= DENSE_STEPS:
            self._last[:] = self._step

    def _rate_now(self) -> float:
        return self._rate if self._rates is None else float(self._rates[self._step])

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        return self._weight.detach(), self._state["exp_avg"], self._state["exp_avg_sq"]

    def _before_lookup(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        rows = inputs[0].numpy()
        self._catch_up(rows[self._last[rows] < self._step])

    @torch.no_grad()
    def _catch_up(self, rows: npt.NDArray[np.int64]) -> None:
        if not len(rows):
            return
        last = self._last[rows]
        missed = self._step - last
        beta1, beta2 = self._betas
        place = torch.from_numpy(rows)
        weight, first, second = (table.index_select(0, place) for table in self._tables())
        total, centre, spread, skew = (
            _column(moment) for moment in self._sums.moments(last, self._step)
        )
        # sum_s c_s / (x + e_s) = C y (1 + M_2 y^2 - M_3 y^3), y = 1 / (x + mean e)
        near = second.sqrt().add_(centre * self._eps).reciprocal_()
        ratio = near * self._eps
        series = (spread - skew * ratio).mul_(ratio).mul_(ratio).add_(1.0)
        weight.addcmul_(first, series.mul_(near).mul_(total), value=-self._rate)
        first.mul_(_column(beta1**missed))
        second.mul_(_column(beta2**missed))
        for table, updated in zip(self._tables(), (weight, first, second), strict=True):
            table.index_copy_(0, place, updated)
        self._last[rows] = self._step

    def _decay_all(self) -> None:
        """One step without gradient, for every row."""
        beta1, beta2 = self._betas
        step = self._step + 1
        unbiased = (1.0 - beta2**step) ** 0.5
        size = max(1, _ELEMENTS // self._weight.shape[1])
        chunks = (torch.split(table, size) for table in self._tables())
        for weight, first, second in zip(*chunks, strict=True):
            scale = second.mul_(beta2).sqrt().div_(unbiased).add_(self._eps)
            move = -self._rate_now() / (1.0 - beta1**step)
            weight.addcdiv_(first.mul_(beta1), scale, value=move)


class DenseAdam:
    """torch's fused step of some parameters, without its compiler.

    The optimiser's own step takes as long (within 1 %) and gives the same numbers, but imports
    the compiler at its first call: a second and 80 MB of every process.

    A context manager; afterwards the optimiser's state is that of as many steps of its own.

    Args:
        parameters: of the optimiser; every one has a gradient at each step.
        optimizer: Adam, fused.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], optimizer: torch.optim.Adam) -> None:
        self._parameters: list[Tensor] = list(parameters)
        self._optimizer = optimizer
        self._states = [_state(optimizer, parameter) for parameter in self._parameters]
        self._first = [state["exp_avg"] for state in self._states]
        self._second = [state["exp_avg_sq"] for state in self._states]
        self._step = self._states[0]["step"].clone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for state in self._states:
            state["step"].copy_(self._step)

    @torch.no_grad()
    def step(self) -> None:
        """Take the step of the gradients of the last backward pass, which are then dropped."""
        gradients = [cast("Tensor", parameter.grad) for parameter in self._parameters]
        self._step += 1
        torch._fused_adam_(
            self._parameters,
            gradients,
            self._first,
            self._second,
            [],
            [self._step] * len(gradients),
            **_settings(self._optimizer),
        )
        for parameter in self._parameters:
            parameter.grad = None


def _settings(optimizer: torch.optim.Adam) -> dict[str, Any]:
    """Arguments of torch's fused kernel."""
    (group,) = optimizer.param_groups
    if group["weight_decay"] or group["amsgrad"] or group["maximize"]:
        raise ValueError("only plain Adam has the closed form")
    beta1, beta2 = group["betas"]
    shared = ("lr", "eps", "weight_decay", "amsgrad", "maximize")
    return {"beta1": beta1, "beta2": beta2, **{name: group[name] for name in shared}}


def _state(optimizer: torch.optim.Adam, parameter: Tensor) -> dict[str, Tensor]:
    """The state that the optimiser keeps; made as its first step would."""
    state: dict[str, Tensor] = optimizer.state[parameter]
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["exp_avg"] = torch.zeros_like(parameter, requires_grad=False)
        state["exp_avg_sq"] = torch.zeros_like(parameter, requires_grad=False)
    return state


class _Sums:
    """The moments of e_s / eps under the weights c_s / lr, from tables over the steps.

    With S_k(a) = sum_{s >= 1} (r / beta_2^(k/2))^s f_k(a + s), f_k = b_2^((k + 1) / 2) / b_1, the
    sum over the n steps from a to t = a + n is S_k(a) - (r / beta_2^(k/2))^n S_k(t). With learning
    rates f_k(t) has the share of the largest one that step t has, 0 after the last.
    """

    def __init__(
        self,
        betas: tuple[float, float],
        start: int,
        shares: npt.NDArray[np.float64] | None = None,
    ) -> None:
        beta1, self._beta2 = betas
        self._ratio = beta1 / self._beta2**0.5
        self._beta1 = beta1
        self._start, self._shares = start, shares
        self._tables = np.empty((4, 0))

    def moments(
        self, last: npt.NDArray[np.int64], step: int
    ) -> tuple[npt.NDArray[np.float64], ...]:
        """Sum of the weights, mean, and second and third central moment, `[rows]` each."""
        if step - self._start >= self._tables.shape[1]:
            self._extend(2 * (step - self._start) + 256)
        missed = step - last
        rates = self._ratio / self._beta2 ** (np.arange(4) / 2)
        at = self._tables[:, last - self._start]
        after = rates[:, None] ** missed * self._tables[:, step - self._start, None]
        total, one, two, three = at - after
        mean = one / total
        square, cube = two / total, three / total
        return total, mean, square - mean**2, cube - 3 * mean * square + 2 * mean**3

    def _extend(self, steps: int) -> None:
        from_step = self._start + 1 + np.arange(steps + _TAIL)
        b1, b2 = 1.0 - self._beta1**from_step, 1.0 - self._beta2**from_step
        terms = np.stack([b2 ** ((k + 1) / 2) / b1 for k in range(4)])
        if self._shares is not None:
            left = self._shares[self._start : self._start + terms.shape[1]]
            terms *= np.pad(left, (0, terms.shape[1] - len(left)))
        rates = self._ratio / self._beta2 ** (np.arange(4) / 2)
        sums = np.zeros((4, steps + _TAIL + 1))
        for place in range(steps + _TAIL - 1, -1, -1):
            sums[:, place] = rates * (terms[:, place] + sums[:, place + 1])
        self._tables = sums[:, :steps]


def _column(values: npt.NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values).float()[:, None]
