"""What a fault drill counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar, Protocol


class Shown(Protocol):
    """A column of a table of its own kind."""

    title: ClassVar[str]

    def shown(self) -> dict[str, object]: ...


@dataclass
class Counts:
    """Of all the studies of one kind, one after the other."""

    title: ClassVar[str] = "fault drill"
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


@dataclass
class OutageCounts:
    """Of a study whose tracking server went away."""

    title: ClassVar[str] = "outage drill"
    kind: str
    outages: list[float] = field(default_factory=list)
    """Seconds each."""
    epochs_during: int = 0
    """That trials ended while the server was away."""
    trials: int = 0
    exit_code: int = 0
    end_seconds: float = 0.0
    """From the end of the last trial to the end of the command."""
    lacking: int = 0
    """Values of the ledger that MLflow had not before it was synced."""
    synced: int = 0
    """Points that sync wrote."""
    runs: int = 0
    points: int = 0
    """Epoch metrics in the ledger."""
    missing: int = 0
    different: int = 0
    doubled: int = 0
    epochs_per_minute: tuple[float, float] = (0.0, 0.0)
    """With the server, and without."""

    def shown(self) -> dict[str, object]:
        """By what it means."""
        return {
            "": self.kind,
            "outages, seconds": " + ".join(f"{seconds:.0f}" for seconds in self.outages),
            "epochs ended during them": self.epochs_during,
            "epochs a minute, with the server": f"{self.epochs_per_minute[0]:.1f}",
            "epochs a minute, without": f"{self.epochs_per_minute[1]:.1f}",
            "trials in the ledger": self.trials,
            "exit code of search": self.exit_code,
            "seconds from the last trial's end to the command's": f"{self.end_seconds:.1f}",
            "values lacking before sync": self.lacking,
            "points that sync wrote": self.synced,
            "runs": self.runs,
            "epoch values compared": self.points,
            "missing": self.missing,
            "different": self.different,
            "there twice": self.doubled,
        }
