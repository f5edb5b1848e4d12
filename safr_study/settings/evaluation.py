"""What is measured after training, and what a study optimises."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator

from safr_study.errors import BadInput
from safr_study.settings.base import Settings

CapacityLayer = Literal["ffn1_pre_relu", "ffn1_post_relu"]
DeletionMode = Literal["remove", "unk", "attn", "gate"]
Ranking = Literal[
    "capacity",
    "keep_probability",
    "norm",
    "inverse_frequency",
    "position",
    "random",
    "gradient_x_input",
]
LAYERS = ("embedding", "vmask", "attention", "ffn1_pre", "ffn1_post", "ffn2", "block")
"""Where superposition is measured; the first two once, the others in every block."""
CURVE_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""k of the deletion curves (definitions, section 3.5)."""

_OBJECTIVE = re.compile(r"^(?:accuracy|(?P<metric>srs|srs_excess)@(?P<k>\d{1,3}(?:\.\d+)?))$")


class EvaluationConfig(Settings):
    """Settings of the deletion evaluation."""

    draws: int = Field(default=10, ge=1)
    """B: random deletions per text."""
    capacity_layer: CapacityLayer = "ffn1_pre_relu"
    """Whose rows are the tokens' capacity vectors; of the last block."""
    batch_size: int = Field(default=128, ge=1)
    """Texts per evaluation batch: fixed by the settings, so that numbers repeat exactly."""
    seed: int = Field(default=0, ge=0)
    """Of the random deletions; shared by all the models of a study."""
    mode: DeletionMode = "remove"
    """What deleting a token means: ``remove`` (the rest closes ranks), ``unk`` (the unknown word in
    its place), ``attn`` (dropped from attention and pooling, positions kept) or ``gate`` (VMASK's
    gate set to 0)."""
    recompute: bool = False
    """Rank anew after every deleted token, instead of once on the full text."""
    sample_texts: int = Field(default=500, ge=1)
    """Fixed texts of the split for leave-one-out and for the superposition measures."""


class Objective(Settings):
    """One axis of the front: a metric on dev, in percentage points; all are maximised."""

    name: str
    """``accuracy``, ``srs@K`` or ``srs_excess@K`` with K in percent of the tokens."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        match = _OBJECTIVE.match(name)
        if match is None:
            raise ValueError(
                f"{name!r} is no objective; use accuracy, srs@K or srs_excess@K (K in percent, "
                "for example srs@30)"
            )
        if match["k"] is not None and not 1 <= float(match["k"]) <= 100:
            raise ValueError(f"{name!r}: K is in percent, from 1 to 100")
        return name

    @property
    def metric(self) -> str:
        """The name without its K."""
        return self.name.partition("@")[0]

    @property
    def k(self) -> float | None:
        """Share of the tokens deleted, in (0, 1]; ``None`` for accuracy."""
        _, at, percent = self.name.partition("@")
        return float(percent) / 100 if at else None

    @property
    def label(self) -> str:
        """For an axis or a table: ``accuracy``, ``SRS(30)``, ``SRS excess(30)``."""
        if self.k is None:
            return self.metric
        return f"{self.metric.replace('srs', 'SRS').replace('_', ' ')}({100 * self.k:g})"

    @property
    def key(self) -> str:
        """As a metric's name in MLflow, which refuses ``@``: ``accuracy``, ``srs_30``."""
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
            raise BadInput(
                "objective",
                f"{name!r} is none; use accuracy, srs@K or srs_excess@K with K in percent "
                "from 1 to 100, for example srs@30",
            ) from None
