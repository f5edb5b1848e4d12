"""How the hypervolume of a study grew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """A study just after one of its trials ended."""

    trial: int
    """The number of that trial."""
    ended: float | None
    """Time of its end in seconds since the epoch; ``None``: not recorded."""
    trials: int
    """Number of trials that had ended by then, failed and pruned ones too."""
    epochs: int
    """Epochs that these had trained, all seeds of a trial counted as its first."""
    hypervolume: float
    """Hypervolume of the front by then, in the product of the objectives' units."""
