"""Places in the plane from wished distances, then moved apart until no two boxes overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STARTS = 8
"""Descents: the first from classical scaling, the others from random places of a fixed seed."""
_STEPS = 300
_CONVERGED = 1e-7
"""Relative fall of the stress in a step that ends a descent."""
_PUSHES = 2000
_SMALLEST = 1e-9


def stress_layout(targets: Array) -> Array:
    """Places whose distances are close to the wished ones.

    Minimises the stress of Kamada and Kawai (1989), sum over i < j of
    ((|x_i - x_j| - t_ij) / t_ij)^2, by majorisation (Gansner, Koren and North 2004): each step
    lowers it. In general no places in the plane have just these distances. The same targets give
    the same places.

    Args:
        targets: `[n, n]`, symmetric, above 0 off the diagonal.

    Returns:
        `[n, 2]`, centred on 0.
    """
    count = len(targets)
    if count < 2:
        return np.zeros((count, 2))
    safe = np.where(np.eye(count, dtype=bool), 1.0, targets)
    weights = np.where(np.eye(count, dtype=bool), 0.0, safe**-2)
    inverse = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    rng = np.random.default_rng(0)
    scale = float(safe.max())
    starts = [_classical(targets)]
    starts += [rng.normal(scale=scale, size=(count, 2)) for _ in range(_STARTS - 1)]
    descents = [_descend(start, safe, weights, inverse) for start in starts]
    _, places = min(descents, key=lambda descent: descent[0])
    centred: Array = places - places.mean(axis=0)
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
    """Torgerson's scaling: the two main axes of the doubly centred squares."""
    squares = np.where(np.eye(len(targets), dtype=bool), 0.0, targets) ** 2
    means = squares.mean(axis=0)
    centred = -0.5 * (squares - means[:, None] - means[None, :] + means.mean())
    values, vectors = np.linalg.eigh(centred)
    axes = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0.0))
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    # Equal words would stay on one point for ever: part them a little.
    spread = np.random.default_rng(1).normal(scale=1e-3 * targets.max(), size=axes.shape)
    places: Array = axes * np.where(signs == 0, 1.0, signs) + spread
    return places


def _descend(start: Array, targets: Array, weights: Array, inverse: Array) -> tuple[float, Array]:
    """The stress that is reached, and the places `[n, 2]`."""
    places, before = start, np.inf
    for _ in range(_STEPS):
        distances = _distances(places)
        stress = float((weights * (distances - targets) ** 2).sum()) / 2
        if before - stress <= _CONVERGED * stress:
            break
        before = stress
        ratios = weights * targets / np.maximum(distances, _SMALLEST)
        places = inverse @ (np.diag(ratios.sum(axis=1)) - ratios) @ places
    return stress, places


def _distances(places: Array) -> Array:
    distances: Array = np.linalg.norm(places[:, None] - places[None, :], axis=2)
    return distances
