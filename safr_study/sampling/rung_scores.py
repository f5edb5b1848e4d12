"""Vectors of trials as a matrix that grows without being copied for each newcomer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROOM = 64


class Standings:
    """Vectors by trial number."""

    def __init__(self, objectives: int) -> None:
        """Nobody stands here yet.

        Args:
            objectives: the length of every vector.
        """
        self._rows: dict[int, int] = {}
        self._numbers: list[int] = []
        self._matrix = np.empty((_ROOM, objectives))

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Whose the rows of ``vectors`` are, `[N]`."""
        return np.array(self._numbers, dtype=np.int64)

    @property
    def vectors(self) -> NDArray[np.float64]:
        """A view, `[N, M]`, in the order in which the trials came if none was taken away."""
        return self._matrix[: len(self._numbers)]

    def put(self, number: int, vector: Sequence[float] | None) -> None:
        """Let a trial stand here with this vector alone; ``None``: no more."""
        row = self._rows.get(number)
        if vector is None:
            if row is not None:
                self._drop(number, row)
            return
        if row is None:
            row = self._rows[number] = len(self._numbers)
            self._numbers.append(number)
            if row == len(self._matrix):
                self._matrix = np.vstack([self._matrix, np.empty_like(self._matrix)])
        self._matrix[row] = vector

    def without(self, number: int) -> NDArray[np.float64]:
        """The vectors of all but this trial, in no order that means anything.

        Returns:
            `[N, M]`.
        """
        row = self._rows.get(number)
        return self.vectors.copy() if row is None else np.delete(self.vectors, row, axis=0)

    def _drop(self, number: int, row: int) -> None:
        # The last one takes the free row.
        last = self._numbers.pop()
        self._matrix[row] = self._matrix[len(self._numbers)]
        if last != number:
            self._numbers[row] = last
            self._rows[last] = row
        del self._rows[number]
