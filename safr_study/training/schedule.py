"""The learning rate of each step: warm-up, then constant or falling to 0."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safr_study.settings import TrainConfig


def is_constant(config: TrainConfig) -> bool:
    """Whether every step has the same learning rate."""
    return not config.warmup and config.decay == "none"


def learning_rates(config: TrainConfig, *, steps: int) -> NDArray[np.float64]:
    """Learning rate of each step of a training, ``[steps]``, above 0.

    With T steps in all epochs, W = round(warmup T) of them warm-up, step t (from 1) has the rate

        t / W  for t <= W,  after that 1, or with linear decay (T - t + 1) / (T - W),

    times ``learning_rate``. It depends on the step alone, so that a resumed training goes on alike,
    and one that ends early had the rates of one that does not.

    Args:
        config: of the training.
        steps: of all epochs, at least 1.
    """
    rising = round(config.warmup * steps)
    shares = np.ones(steps)
    shares[:rising] = np.arange(1, rising + 1) / max(rising, 1)
    if config.decay == "linear":
        shares[rising:] = np.arange(steps - rising, 0, -1) / max(steps - rising, 1)
    return config.learning_rate * shares


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let the next step have this learning rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            # The recorded steps of a GPU refer to it.
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
