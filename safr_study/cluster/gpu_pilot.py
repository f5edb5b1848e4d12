"""A pilot before the trials share GPUs: what the largest of them takes of one's memory.

Ray's shares are bookkeeping: with too small a share trials run out of memory, with too large a one
the GPU is idle. So the heaviest batches of the heaviest setting are trained
and evaluated once, alone on one GPU, and the share is chosen from the peak.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from safr_study.cluster.ray_cluster import cluster_nodes
from safr_study.cluster.slots import NodeCapacity, TrialSlots, plan_slots
from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.settings import StudySpec, TrainConfig, Value, trial_config, wanted
from safr_study.settings.parameters import samples

if TYPE_CHECKING:
    import torch

MARGIN = 1.25
"""Room over the pilot's peak: blocks that do not fit each other, and longer batches by chance."""
STEP = 0.05
"""Shares are multiples of this: at most 20 trials on one GPU."""
_BATCHES = 2
_HEAVY = ("batch_size", "layers", "embed_dim", "ffn_dim", "mask_hidden_dim", "heads")
"""Parameters by which memory grows, the strongest first."""


def gpu_share(peak: float, nodes: Sequence[NodeCapacity], cpus_per_trial: float) -> float:
    """The share of one GPU for each trial.

    At least what the pilot took with a margin, and no less than one part for each trial that the
    CPUs can feed: what no trial can use is given to those that run.

    Args:
        peak: what the pilot took of its GPU's memory at one moment, from 0 to 1.
        nodes: of the cluster's nodes.
        cpus_per_trial: of one trial.
    """
    steps = math.ceil(peak * MARGIN / STEP - 1e-9)
    needed = min(1.0, max(1, steps) * STEP)
    by_cpus = [node.cpus / cpus_per_trial / node.gpus for node in nodes if node.gpus >= 1]
    most = max(1.0, max(by_cpus, default=1.0))
    return round(max(needed, math.floor(1 / most / STEP + 1e-9) * STEP), 2)


def heaviest(spec: StudySpec) -> TrainConfig:
    """The trial of a study's space that takes the most memory."""
    values: dict[str, Value] = {**spec.space.fixed}
    config = trial_config(spec.train, values, seed=spec.seed)
    for name in _HEAVY:
        parameter = spec.space.parameters.get(name)
        # Not every width goes with every number of heads.
        for value in sorted(samples(parameter), reverse=True) if parameter is not None else ():
            with contextlib.suppress(ValidationError):
                config = trial_config(spec.train, {**values, name: value}, seed=spec.seed)
                values[name] = value
                break
    return config


def heaviest_texts(split: EncodedSplit, count: int) -> EncodedSplit:
    """The longest texts of a split."""
    from safr_study.evaluation.deletion import take_texts

    longest = np.argsort(split.lengths, kind="stable")[-count:]
    return take_texts(split, np.sort(longest))


def rehearse(spec: StudySpec, corpus: EncodedCorpus, device: torch.device) -> None:
    """Train and evaluate the heaviest trial on the longest texts, as a trial does."""
    from safr_study.evaluation.scoring import evaluate_model
    from safr_study.training import computing, fit

    config = heaviest(spec).model_copy(update={"epochs": 1})
    small = replace(
        corpus,
        train=heaviest_texts(corpus.train, _BATCHES * config.batch_size),
        dev=heaviest_texts(corpus.dev, 2 * spec.evaluation.batch_size),
    )
    with computing(config.threads):
        fitted = fit(config, small, device=device)
        evaluate_model(
            fitted.model,
            small.dev,
            split_name="dev",
            config=spec.evaluation,
            want=replace(wanted(o.name for o in spec.objectives), superposition=True),
            preset=config.preset,
            device=device,
        )


def measure_peak(spec: StudySpec, corpus: EncodedCorpus) -> float | None:
    """The part of a GPU's memory that a worker takes at its peak, CUDA's own context included.

    Returns:
        ``None`` where torch sees no GPU.
    """
    import torch

    from safr_study.training import pick_device

    device = pick_device(1.0)
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    rehearse(spec, corpus, device)
    free, total = torch.cuda.mem_get_info()
    context = max(0, total - free - torch.cuda.memory_reserved())
    return float((torch.cuda.max_memory_reserved() + context) / total)


def measured_slots(spec: StudySpec, corpus: EncodedCorpus) -> TrialSlots:
    """Divide the running cluster among a study's trials, after a pilot where they share GPUs.

    Raises:
        BadInput: no node has what one trial asks for.
    """
    import ray
    from ray.exceptions import RayError

    nodes, resources = cluster_nodes(), spec.resources
    if resources.gpus_per_trial is None and any(node.gpus >= 1 for node in nodes):
        pilot = ray.remote(measure_peak).options(
            num_cpus=min(1.0, resources.cpus_per_trial), num_gpus=1, max_retries=1
        )
        # A pilot that fails decides nothing: the trials will say what is wrong with them.
        with contextlib.suppress(RayError):
            peak: float | None = ray.get(pilot.remote(spec, corpus))
            if peak is not None:
                share = gpu_share(peak, nodes, resources.cpus_per_trial)
                resources = resources.model_copy(update={"gpus_per_trial": share})
    return plan_slots(resources, nodes)
