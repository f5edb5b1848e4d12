"""How much a study's trials say about the weight of each hyperparameter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Importance:
    """One hyperparameter and one objective.

    The raw number is PED-ANOVA's (Watanabe et al., IJCAI 2023): how differently the best trials
    and all trials are spread over the parameter's range (a Pearson divergence).
    """

    parameter: str
    objective: str
    """Its name."""
    divergence: float
    """Divergence, at least 0; it grows where the best trials keep to a part of the range."""
    chance: float
    """The divergence that a shuffled objective stays below in 95 % of the shuffles."""
    p: float
    """Share of the shuffles with as large a divergence, in (0, 1]."""
    rho: float | None
    """Spearman's rank correlation of parameter and objective, in [-1, 1]; ``None`` for a parameter
    without an order, or where all values are equal."""
    trials: int
    """Number of trials that it was estimated from."""

    @property
    def strength(self) -> float:
        """The divergence in units of chance: above 1 is more than chance in 95 of 100 studies."""
        return self.divergence / self.chance if self.chance > 0 else 0.0
