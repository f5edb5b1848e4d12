"""The trials that always run first: what a study's others are read against."""

from __future__ import annotations

from pydantic import Field

from safr_study.settings.base import Settings
from safr_study.settings.parameters import Value


class Baseline(Settings):
    """A trial that always runs first, against which the others are read."""

    name: str = Field(min_length=1)
    values: dict[str, Value]
    """Its settings; a parameter of the space that is not named takes the default of training."""


DEFAULT_BASELINES = (
    Baseline(name="no-vmask", values={"vmask": False}),
    Baseline(name="vmask-only", values={"lambda_imp": 0.0, "lambda_inter": 0.0}),
)
