"""Places in the plane from wished distances, then moved apart until no two boxes overlap."""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PUSHES = 2000
_SMALLEST = 1e-9


def stress_layout(targets: Array) -> Array:
    """Places whose distances are close to the wished ones.

    They minimise the stress of Kamada and Kawai (1989). In general no places in the plane have
    just these distances. The same targets give the same places.

    Args:
        targets: `[n, n]`, symmetric, above 0 off the diagonal.

    Returns:
        `[n, 2]`, centred on 0.
    """
    count = len(targets)
    if count < 2:
        return np.zeros((count, 2))
    wished = {row: dict(enumerate(values)) for row, values in enumerate(targets.tolist())}
    start = dict(enumerate(_classical(targets)))
    found = nx.kamada_kawai_layout(nx.complete_graph(count), dist=wished, pos=start)
    places = np.array([found[row] for row in range(count)])
    # The library scales them to [-1, 1]: back to the size that fits the targets best.
    pairs = np.triu_indices(count, 1)
    ratios = np.linalg.norm(places[:, None] - places[None, :], axis=2)[pairs] / targets[pairs]
    centred: Array = (places - places.mean(axis=0)) * ratios.sum() / (ratios**2).sum()
    return centred


def separate(centres: Array, halves: Array, room: tuple[float, float]) -> Array | None:
    """Move boxes apart by small steps until none overlaps another, all within the room.

    Args:
        centres: `[n, 2]`.
        halves: `[n, 2]`, half the width and height of each box.
        room: width and height; its lower left corner is 0, 0.

    Returns:
        New centres `[n, 2]`, or ``None`` where the room does not suffice.
    """
    moved = centres.copy()
    low, high = halves, np.asarray(room) - halves
    if (high < low).any():
        return None
    upper = np.triu(np.ones((len(moved), len(moved)), dtype=bool), 1)
    reach = halves[:, None] + halves[None, :]  # [n, n, 2]
    for _ in range(_PUSHES):
        moved = np.clip(moved, low, high)
        gap = moved[:, None] - moved[None, :]
        overlap = reach - np.abs(gap)
        touching = (overlap > _SMALLEST).all(axis=2) & upper
        if not touching.any():
            return moved
        # Along the axis that needs less; boxes at one place part in the order of the text.
        axis = overlap.argmin(axis=2)[..., None] == np.arange(2)
        side = np.where(gap == 0, -1.0, np.sign(gap))
        push = np.where(axis & touching[..., None], side * (overlap / 2 + 0.1), 0.0)
        pushed = push.sum(axis=1) - push.sum(axis=0)
        moved = moved + 0.6 * pushed
    return None


def _classical(targets: Array) -> Array:
    """Torgerson's scaling `[n, 2]`: the two main axes of the doubly centred squares."""
    squares = np.where(np.eye(len(targets), dtype=bool), 0.0, targets) ** 2
    means = squares.mean(axis=0)
    values, vectors = np.linalg.eigh(-0.5 * (squares - means[:, None] - means + means.mean()))
    axes = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0.0))
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    # Equal words would stay on one point for ever: part them a little.
    spread = np.random.default_rng(1).normal(scale=1e-3 * targets.max(), size=axes.shape)
    places: Array = axes * np.where(signs == 0, 1.0, signs) + spread
    return places
