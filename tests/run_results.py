"""Ends of runs that were not trained."""

from __future__ import annotations

from typing import Any

from plain_scores import plain_scores

from safr_study.records import CheckpointRef, Replicate, Scores
from safr_study.records.run import Measured, RunResult

CHECKPOINT = CheckpointRef("/nowhere", "a" * 64, 1)


def run_result(
    *replicates: Replicate,
    trial: int = 0,
    scores: Scores | None = None,
    **changes: Any,
) -> RunResult:
    """A run that ended well, with the objectives of each seed."""
    first = replicates[0]
    given = {"checkpoint": CHECKPOINT, "seconds": 9.0, "device": "cpu", **changes}
    return RunResult(
        trial=trial,
        seed=first.seed,
        dev=Measured(scores or plain_scores(), first.values),
        replicates=replicates,
        **given,
    )
