"""How the hypervolume of a study grew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """A study just after one of its trials ended."""

    trial: int
    """The number of that trial."""
    ended: float | None
    """When, in seconds since the epoch; ``None``: not recorded."""
    trials: int
    """That had ended by then, failed and stopped ones too."""
    epochs: int
    """That these had trained, all seeds of a trial counted as its first."""
    hypervolume: float
    """Hypervolume of the front by then, in the product of the objectives' units."""
