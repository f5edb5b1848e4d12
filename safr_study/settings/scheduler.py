"""Settings of the scheduler that prunes trials early."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from safr_study.settings.base import Settings

SchedulerName = Literal["mo-asha", "none"]


class SchedulerConfig(Settings):
    """Multi-objective asynchronous successive halving (MO-ASHA): its rungs and its caution.

    Rungs lie at ``first_rung * reduction^i`` epochs, below the most epochs that a trial may take.
    """

    name: SchedulerName = "mo-asha"
    """``none``: every trial runs to its end."""
    first_rung: int = Field(default=2, ge=1)
    """Epochs that no trial is denied."""
    reduction: float = Field(default=3.0, ge=1.1)
    """eta: about one trial in so many goes on at each rung. Close to 1 nobody would be stopped."""
    min_peers: int = Field(default=4, ge=1)
    """Other trials that a rung must have seen before anybody is stopped there."""
    margin: float = Field(default=2.0, ge=0.0)
    """Noise: worse means worse by more than this in every objective. Percentage points; percent of
    the finite range seen at the rung for objectives of another unit."""
    run_on: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of the trials to be stopped that run on to the end, so that what stopping costs is
    measured; they are ranked with nobody."""
    texts: int = Field(default=400, ge=1)
    """Texts of the fixed dev subsample on which the objectives are measured at a rung."""

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Epochs after which trials are compared, whole and ascending, all below ``epochs``."""
        found: list[int] = []
        level: float = self.first_rung
        while self.name != "none" and level < epochs and round(level) < epochs:
            if not found or round(level) > found[-1]:
                found.append(round(level))
            level *= self.reduction
        return tuple(found)
