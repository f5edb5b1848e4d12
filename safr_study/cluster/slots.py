"""What one trial takes of a cluster, and how many run at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safr_study.errors import BadInput
from safr_study.settings import Resources

GPU_SHARE = 0.25
"""Share of one GPU per trial where no pilot could measure it: the paper's model takes
well under a quarter of any current one."""
_TINY = 1e-9
"""Tolerance for what floating-point numbers lose: three thirds are one."""


@dataclass(frozen=True, slots=True)
class NodeCapacity:
    """What one node has for trials, whether they run or not."""

    cpus: float
    gpus: float

    def holds(self, cpus: float, gpus: float) -> int:
        """Trials with so many CPUs and GPUs each that fit at once.

        A share of a GPU is of one GPU: what is left of two makes no third.
        """
        fit = int(self.cpus / cpus + _TINY)
        if gpus >= 1:
            return min(fit, int(self.gpus / gpus + _TINY))
        if gpus > 0:
            return min(fit, int(self.gpus + _TINY) * int(1 / gpus + _TINY))
        return fit


@dataclass(frozen=True, slots=True)
class TrialSlots:
    """How a cluster is shared among trials."""

    cpus_per_trial: float
    gpus_per_trial: float
    max_concurrent: int
    cpus: float
    """CPUs of the whole cluster."""
    gpus: float
    """GPUs of the whole cluster."""
    nodes: int = 1
    """That have room for a trial."""

    def sentence(self) -> str:
        """A sentence: ``2 trials at once, each with 1 CPU``."""
        gpus = f" and {self.gpus_per_trial:g} GPU" if self.gpus_per_trial else ""
        trials = "1 trial" if self.max_concurrent == 1 else f"{self.max_concurrent} trials"
        where = f" on {self.nodes} nodes" if self.nodes > 1 else ""
        return f"{trials} at once{where}, each with {self.cpus_per_trial:g} CPU{gpus}"


def plan_slots(resources: Resources, nodes: Sequence[NodeCapacity]) -> TrialSlots:
    """How many trials fit, and with what each.

    Where there are GPUs, every trial gets (a share of) one: nodes without any do nothing, as a
    trial's numbers depend on the kind of its processor.

    Raises:
        BadInput: no node has what one trial asks for.
    """
    cpus, gpus = [node.cpus for node in nodes], [node.gpus for node in nodes]
    per_trial = resources.gpus_per_trial
    if per_trial is None:
        per_trial = GPU_SHARE if sum(gpus) else 0.0
    whose = "the cluster's" if len(nodes) == 1 else "any node's"
    for name, wanted, there in (
        ("cpus-per-trial", resources.cpus_per_trial, max(cpus, default=0.0)),
        ("gpus-per-trial", per_trial, max(gpus, default=0.0)),
    ):
        if wanted > there + _TINY:
            raise BadInput(
                name, f"{wanted:g} is more than {whose} {there:g}; give {there:g} or less"
            )
    fitting = [node.holds(resources.cpus_per_trial, per_trial) for node in nodes]
    fit = sum(fitting)
    if not fit:
        raise BadInput(
            "gpus-per-trial",
            f"no node has {resources.cpus_per_trial:g} CPUs beside {per_trial:g} of a GPU; give "
            "fewer --cpus-per-trial, or --gpus-per-trial 0 to train on CPUs",
        )
    return TrialSlots(
        cpus_per_trial=resources.cpus_per_trial,
        gpus_per_trial=per_trial,
        max_concurrent=max(1, min(fit, resources.max_concurrent or fit)),
        cpus=sum(cpus),
        gpus=sum(gpus),
        nodes=sum(1 for count in fitting if count),
    )
