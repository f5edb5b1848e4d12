"""The learning rate of each step: warm-up, then constant or falling to 0."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from safr_study.settings import TrainConfig


def is_constant(config: TrainConfig) -> bool:
    """Whether every step has the same learning rate."""
    return not config.warmup and config.decay == "none"


def learning_rates(config: TrainConfig, *, steps: int, epoch: int) -> Iterator[float]:
    """Learning rate of each step of an epoch.

    With T steps in all epochs, W = round(warmup T) of them warm-up, step t (from 1) has the rate

        t / W  for t <= W,  after that 1, or with linear decay (T - t + 1) / (T - W),

    times ``learning_rate``. It depends on the step alone, so that a resumed training goes on alike,
    and one that ends early had the rates of one that does not.

    Args:
        config: of the training.
        steps: of one epoch, at least 1.
        epoch: from 1.
    """
    every = config.epochs * steps
    rising = round(config.warmup * every)
    for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
        share = 1.0
        if step <= rising:
            share = step / rising
        elif config.decay == "linear":
            share = (every - step + 1) / (every - rising)
        yield config.learning_rate * share


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step have this learning rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            # The recorded steps of a GPU refer to it.
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
