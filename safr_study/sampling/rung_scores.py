"""Vectors of trials as a matrix that grows without being copied for each newcomer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROOM = 64


class RungScores:
    """Objectives by trial number, at one rung or at the end."""

    def __init__(self, objectives: int) -> None:
        """Begin empty.

        Args:
            objectives: the length of every vector.
        """
        self._rows: dict[int, int] = {}
        """Rows by number; without gaps, in the order of the matrix."""
        self._matrix = np.empty((_ROOM, objectives))

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Trial numbers of the rows of ``vectors``, `[N]`."""
        return np.fromiter(self._rows, np.int64, len(self._rows))

    @property
    def vectors(self) -> NDArray[np.float64]:
        """A view, `[N, M]`, in the order in which the trials came if none was taken away."""
        return self._matrix[: len(self._rows)]

    def put(self, number: int, vector: Sequence[float] | None) -> None:
        """Set a trial's vector; ``None``: take it away."""
        row = self._rows.get(number)
        if vector is None:
            if row is not None:
                self._drop(number, row)
            return
        if row is None:
            row = self._rows[number] = len(self._rows)
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
        del self._rows[number]
        self._matrix[row:-1] = self._matrix[row + 1 :]
        for later in self._rows:
            self._rows[later] -= self._rows[later] > row
