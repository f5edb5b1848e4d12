"""Pairs of texts: both as parts of one row, cut to a common room.

Arrays ``[2 N]`` hold the texts of N pairs one after the other: the first and the second of a
pair, then those of the next.
"""

from __future__ import annotations

import numpy as np

from safr_study.data.corpus import Ints, Marks


def rooms_of_pairs(sizes: Ints, room: int) -> Ints:
    """How much of each text is kept where both together have a room.

    The longer text is cut first, down to the size of the other; then both alike, and of an odd
    room the first text has the larger half.

    Args:
        sizes: ``[2 N]``, words or pieces.
        room: of a pair; none below 0.

    Returns:
        ``[2 N]``, at most the sizes; the sums are the room wherever the sizes' are more.
    """
    first, second = sizes.reshape(-1, 2).T
    half = room // 2
    rooms: Ints = np.stack(
        (
            np.minimum(first, np.maximum(room - second, room - half)),
            np.minimum(second, np.maximum(room - first, half)),
        ),
        axis=1,
    )
    return np.maximum(rooms, 0).reshape(-1)


def second_marks(lengths: Ints) -> Marks:
    """Marks ``[T]`` of the words of the second texts, of the lengths ``[2 N]`` of all."""
    return np.repeat(np.arange(len(lengths)) % 2, lengths).astype(np.int8)
