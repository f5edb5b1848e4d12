"""Trials and nodes: what a trial takes of one, and what becomes of it when the node is lost.

Import this inside ``cluster``: Ray reads its environment when it is first imported.
"""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from safr_study.cluster.slots import TrialSlots
from safr_study.runner.task import NODE


def trial_resources(slots: TrialSlots) -> tune.PlacementGroupFactory:
    """What one trial takes; on the node that has the most left, so that trials are spread."""
    bundle = {"CPU": slots.cpus_per_trial, "GPU": slots.gpus_per_trial}
    wanted = {name: amount for name, amount in bundle.items() if amount}
    return tune.PlacementGroupFactory([wanted], strategy="SPREAD")


class LostNodes(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """A node that is lost is no fault of its trials: they go on elsewhere, however often."""

    def __init__(self) -> None:
        self._forgiven: set[tuple[str, str]] = set()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Take the failure back that Ray has counted, once for each node."""
        node = (trial.last_result or {}).get(NODE)
        if node is None or (trial.trial_id, node) in self._forgiven:
            return
        if any(one["NodeID"] == node and not one["Alive"] for one in ray.nodes()):
            self._forgiven.add((trial.trial_id, node))
            trial.run_metadata.num_failures -= 1
