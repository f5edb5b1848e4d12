"""Constraints: what a trial must reach to be ranked, as text such as ``accuracy >= 60``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_serializer, model_validator

from safr_study.errors import BadInput
from safr_study.settings.base import Settings
from safr_study.settings.metrics import NAMING, SYNONYMS, find_metric, majority_accuracy
from safr_study.settings.objectives import Objective
from safr_study.text import unit_words

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TEXT = re.compile(
    rf"\s*(?P<metric>[^\s<>=]+)\s*(?P<operator>>=|<=)\s*"
    rf"(?:(?P<majority>majority)\s*(?P<offset>[+-]\s*{_NUMBER})?|(?P<bound>[+-]?{_NUMBER}))\s*\Z",
    re.ASCII,
)
_FORM = (
    "write METRIC >= NUMBER or METRIC <= NUMBER, for example accuracy >= majority + 5, "
    "srs@30 >= 2 or gate_openness <= 0.9"
)


class Constraint(Settings):
    """A bound on one metric on dev; trials that miss it are kept, but not ranked.

    Its form in a space's file, and wherever it is written, is its text.
    """

    metric: str
    """Name of an objective: ``accuracy``, ``srs@30``, ``gate_openness``."""
    operator: Literal[">=", "<="]
    bound: float
    """Bound in the metric's unit; added to the majority accuracy where that is named."""
    majority: bool = Field(default=False)
    """Whether the bound counts from the accuracy of the largest class (percentage points)."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if isinstance(given, (Mapping, cls)):
            return given
        found = _TEXT.match(given) if isinstance(given, str) else None
        if found is None:
            raise ValueError(f"{given!r} is no constraint; {_FORM}")
        number = found["offset"] or found["bound"] or "0"
        return {
            "metric": SYNONYMS.get(found["metric"], found["metric"]),
            "operator": found["operator"],
            "bound": float("".join(number.split())),
            "majority": found["majority"] is not None,
        }

    @model_validator(mode="after")
    def _check_metric(self) -> Self:
        measure = find_metric(self.metric)
        if measure is None:
            raise ValueError(f"{self.metric!r} is no metric; use {NAMING}")
        if self.majority and self.metric != "accuracy":
            raise ValueError(
                f"majority is an accuracy, which {self.metric} is not; compare it with a number"
            )
        return self

    @model_serializer
    def _write(self) -> str:
        return self.text

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """Read one constraint.

        Raises:
            BadInput: it is none; says how to write one.
        """
        try:
            return cls.model_validate(text)
        except ValidationError as error:
            sentence = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise BadInput("constraint", sentence) from None

    @property
    def text(self) -> str:
        """The constraint as it is written: ``accuracy >= majority + 5``."""
        if not self.majority:
            return f"{self.metric} {self.operator} {_plain(self.bound)}"
        sign = "-" if self.bound < 0 else "+"
        offset = f" {sign} {_plain(abs(self.bound))}" if self.bound else ""
        return f"{self.metric} {self.operator} majority{offset}"

    @property
    def objective(self) -> Objective:
        """Its metric."""
        return Objective(name=self.metric)

    def violation(self, value: float | None, classes: Sequence[int]) -> float:
        """Amount by which a model misses the bound.

        A model may have no such number: no gate openness without VMASK, no headroom where random
        deletion leaves nothing to lose. It is then judged by the metric's reference value, that of
        a model which is good for nothing. So the front promises what the constraint says of every
        member (a model without VMASK has gates that are all open: 1), and the result is finite,
        as samplers need it, and in the same unit as everybody's.

        Args:
            value: of the metric on dev, in its unit; ``None``: the model has none.
            classes: number of dev texts of each class.

        Returns:
            In the metric's unit; at most 0: kept.

        Raises:
            ValueError: the value is not finite.
        """
        if value is None:
            value = self.objective.measure.reference_value(classes)
        if not math.isfinite(value):
            raise ValueError(f"{self.metric} is not finite: {value}")
        limit = majority_accuracy(classes) + self.bound if self.majority else self.bound
        return limit - value if self.operator == ">=" else value - limit

    def missed(self, violation: float) -> str:
        """A sentence's end: ``misses accuracy >= majority + 5 by 2.31 percentage points``."""
        unit = unit_words(self.objective.measure.unit)
        return f"misses {self.text} by {violation:.3g} {unit}".rstrip()


def _plain(number: float) -> str:
    """The shortest text that is read back as the same number."""
    return repr(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
