"""Objectives: metrics that a study maximises or minimises, and what is measured beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import field_validator

from safr_study.errors import BadInput, did_you_mean
from safr_study.settings.base import Settings
from safr_study.settings.metrics import (
    NAMING,
    OF_MODEL,
    SYNONYMS,
    Metric,
    at_k,
    find_metric,
    share_of,
)
from safr_study.text import unit_words

_BESIDE_K = 0.3
"""k of the metrics beside objectives that delete nothing: that of the paper's tables."""


class Objective(Settings):
    """One axis of the front: a metric on dev."""

    name: str
    """Name of a metric: ``accuracy``, ``srs@30``, ``sufficiency@20``,
    ``mean_capacity.ffn1_pre``; one of `SYNONYMS` becomes the name that it stands for."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        kept = SYNONYMS.get(name, name)
        if find_metric(kept) is None:
            raise ValueError(f"{name!r} is no objective; use {NAMING}")
        return kept

    @property
    def measure(self) -> Metric:
        """Unit, direction and needs."""
        metric = find_metric(self.name)
        assert metric is not None
        return metric

    @property
    def metric(self) -> str:
        """The name without its K or layer."""
        return self.name.partition("@")[0].partition(".")[0]

    @property
    def k(self) -> float | None:
        """Share of the tokens deleted, in (0, 1]; ``None`` for a metric without one."""
        return share_of(self.name) if "@" in self.name else None

    @property
    def layer(self) -> str | None:
        """Layer of a superposition measure."""
        return self.name.partition(".")[2] or None if self.k is None else None

    @property
    def needs_vmask(self) -> bool:
        """Whether a model without VMASK has no such number."""
        important = self.metric.startswith("mean_capacity_")
        return important or self.name == "gate_openness" or self.layer == "vmask"

    @property
    def maximise(self) -> bool:
        """Whether more is better."""
        return self.measure.maximise

    @property
    def sign(self) -> float:
        """1 to maximise, -1 to minimise: the value times it is better when it is larger."""
        return 1.0 if self.maximise else -1.0

    @property
    def label(self) -> str:
        """Label in a table: ``accuracy``, ``SRS(30)``, ``mean capacity (ffn1_pre)``."""
        if self.k is not None:
            return f"{self.measure.label}({100 * self.k:g})"
        return f"{self.measure.label} ({self.layer})" if self.layer else self.measure.label

    @property
    def axis(self) -> str:
        """Text of an axis: label, unit, and the direction where less is better."""
        unit = unit_words(self.measure.unit)
        notes = [note for note in (unit, "" if self.maximise else "lower is better") if note]
        return f"{self.label} on dev" + (f" ({', '.join(notes)})" if notes else "")

    @property
    def key(self) -> str:
        """Name of the metric in MLflow, which refuses ``@``: ``accuracy``, ``srs_30``."""
        return self.name.replace("@", "_")

    @classmethod
    def named(cls, name: str) -> Self:
        """Parse a name from the command line.

        Raises:
            BadInput: there is no such objective.
        """
        try:
            return cls(name=name)
        except ValueError:
            near = did_you_mean(name, (*OF_MODEL, *SYNONYMS))
            raise BadInput("objective", f"{name!r} is none; use {NAMING}{near}") from None


def beside_objectives(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """Metrics that tell more of a model than the objectives do, and that choose nothing.

    Contrast and comprehensiveness at the objectives' k (at 30 % where they have none), and average
    precision against a gold rationale, which has a value where the data have one.
    """
    shares = sorted({one.k for one in objectives if one.k is not None}) or [_BESIDE_K]
    names = [at_k(kind, share) for share in shares for kind in ("contrast", "comprehensiveness")]
    known = {one.name for one in objectives}
    return tuple(Objective(name=n) for n in (*names, "average_precision") if n not in known)
