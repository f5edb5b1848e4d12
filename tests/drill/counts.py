"""What a fault drill counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """Of all the studies of one kind, one after the other."""

    kind: str
    studies: int = 0
    starts: int = 0
    driver_kills: Counter[str] = field(default_factory=Counter)
    """By what the driver did just then."""
    trial_kills: int = 0
    asked: int = 0
    complete: int = 0
    stopped: int = 0
    failed: int = 0
    finished_runs: int = 0
    running_runs: int = 0
    checkpoints: int = 0
    """Complete trials whose model is whole."""
    resumed: int = 0
    """Trials that went on after a kill with every epoch that they had saved."""
    retrained: int = 0
    """Epochs that were trained again although they had been heard of."""
    orphan_seconds: float = 0.0
    """Longest life of a process whose driver was dead."""

    def shown(self) -> dict[str, object]:
        """By what it means."""
        return {
            "": self.kind,
            "studies": self.studies,
            "starts of the command": self.starts,
            "kills of the driver": self.driver_kills.total(),
            "  before its first trial": self.driver_kills["starting"],
            "  during trials": self.driver_kills["trials"],
            "  while closing": self.driver_kills["closing"],
            "kills of a trial's process": self.trial_kills,
            "trials asked for": self.asked,
            "trials complete": self.complete,
            "trials stopped early": self.stopped,
            "trials failed": self.failed,
            "child runs finished": self.finished_runs,
            "runs still RUNNING": self.running_runs,
            "checkpoints whole": self.checkpoints,
            "trials gone on from a checkpoint": self.resumed,
            "epochs trained twice": self.retrained,
            "longest orphan, seconds": f"{self.orphan_seconds:.1f}",
        }
