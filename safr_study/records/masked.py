"""What rankings score on a model that was trained further on texts with random deletions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from safr_study.records.metric_values import MeasuredMetric, scored
from safr_study.records.scores import Measure, Values
from safr_study.settings import at_k

MASKED = ("srs", "comprehensiveness", "sufficiency")
"""Metrics of a deletion that are measured on it."""


@dataclass(frozen=True, slots=True)
class MaskedRun:
    """One such training, and what was measured after it."""

    seed: int
    """Seed of the training and of its deletions."""
    epoch: int
    """Epoch of the state, from 1: the best on dev texts that were shortened alike."""
    accuracy: float
    """Accuracy on the whole texts, percentage points."""
    rankings: Mapping[str, Values]
    """Metrics of each ranking by name, ``srs@30``; the rankings are those of the model before."""


@dataclass(frozen=True, slots=True)
class MaskedTraining:
    """Metrics of each ranking, before and after."""

    bound: float
    """Largest share of a text's tokens that a deletion in training took, in (0, 1]."""
    epochs: int
    """Number of epochs trained."""
    learning_rate: float
    shares: tuple[float, ...]
    """k of the deletions measured, ascending."""
    accuracy: float
    """Accuracy before, on the whole texts, percentage points."""
    rankings: Mapping[str, Values]
    """Metrics of each ranking before."""
    runs: tuple[MaskedRun, ...]
    """One per seed."""

    def after(self, ranking: str, name: str) -> Measure:
        """Mean over the seeds; its standard error is that of one run, where there is one."""
        found = [run.rankings[ranking][name] for run in self.runs]
        if len(found) == 1:
            return found[0]
        return Measure(sum(one.value for one in found) / len(found))


def masked_metrics(found: MaskedTraining, mode: str) -> list[MeasuredMetric]:
    """Rows of the metrics, named ``masked_srs@K`` and so on, of every ranking."""
    note = f"after {found.epochs} epochs with up to {100 * found.bound:g} % of the words deleted"
    if len(found.runs) > 1:
        note += f", mean over {len(found.runs)} seeds"
    return [
        replace(row, name=f"masked_{row.name}", label=f"masked {row.label}", note=note)
        for k in found.shares
        for metric in MASKED
        for ranking in found.rankings
        for row in (scored(at_k(metric, k), found.after(ranking, at_k(metric, k)), mode, ranking),)
    ]
