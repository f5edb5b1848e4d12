"""The nominal work of a training step: what the definitions ask for, however it is computed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from safr_study.settings import ModelShape, Penalties, TrainConfig


def training_flops(config: TrainConfig, lengths: NDArray[np.int64]) -> float:
    """Floating-point operations of a training step; a multiply-add is two.

    A weight costs 6 operations per token, 2 forward and 4 backward: with the default sizes 1.57
    million in VMASK (E M + 2 M weights) and 4.72 million in each block (4 E^2 + 2 E D), **6.3
    million in all per real token**. To these come, per text of n tokens,

    - attention, two products of n^2 E forward and four backward: 12 n^2 E per block;
    - with lambda_imp, the Gram matrix and one product of that size backward: 4 n^2 E;
    - with lambda_inter, A A^T and one product of that size backward: 4 H n^3 per block.

    Padding, biases, norms, softmax, dropout and Adam count nothing, and what is saved (VMASK once
    per distinct word) counts as if it were done.

    Args:
        config: sizes and penalties.
        lengths: real tokens of each text.
    """
    return block_flops(config.shape, lengths) + word_flops(config.shape, config.penalties, lengths)


def block_flops(shape: ModelShape, lengths: NDArray[np.int64]) -> float:
    """Those of the blocks, for texts of ``lengths [N]`` positions."""
    n = lengths.astype(np.float64)
    width = shape.embed_dim
    per_position = 6.0 * (4 * width**2 + 2 * width * shape.ffn_dim)
    return float(shape.layers * (per_position * n.sum() + 12.0 * width * (n**2).sum()))


def word_flops(shape: ModelShape, penalties: Penalties, lengths: NDArray[np.int64]) -> float:
    """Those of VMASK and of the penalties, for texts of ``lengths [N]`` words."""
    if not shape.vmask:
        return 0.0
    n = lengths.astype(np.float64)
    width, hidden = shape.embed_dim, shape.mask_hidden_dim
    flops = 6.0 * (width * hidden + 2 * hidden) * n.sum()
    if penalties.lambda_imp:
        flops += 4.0 * width * (n**2).sum()
    if penalties.lambda_inter:
        flops += shape.layers * 4.0 * shape.heads * (n**3).sum()
    return float(flops)
