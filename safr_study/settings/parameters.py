"""The parameters of a search space: over what one setting of a trial varies, and when it exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from safr_study.settings.base import Settings

Value = bool | int | float | str
_LARGEST = 1e300
"""What is larger is no bound: whole numbers of YAML have no end."""
SWITCH_SUFFIX = ".switch"
"""A parameter with an exact zero has a switch of this name; see ``FloatParameter.zero``."""
WEIGHTS = ("lambda_imp", "lambda_inter")
"""Parameters that exist only with VMASK."""


class _Parameter(Settings):
    when: dict[str, Value] = Field(default_factory=dict)
    """The parameter exists only where earlier ones have these values."""


class FloatParameter(_Parameter):
    """A real number in [low, high], uniform or log-uniform, with an exact zero if asked."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    zero: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Probability that the value is exactly 0, decided by a switch of its own: a uniform number
    in [0, 1], zero where it lies below this. The value itself is a conditional parameter."""
    grid: tuple[float, ...] = ()
    """Values of the grid sampler."""

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        _check_bounds(self.low, self.high, log=self.log)
        outside = [v for v in self.grid if not self.low <= v <= self.high and v != 0]
        if outside:
            raise ValueError(f"grid values {outside} lie outside [{self.low:g}, {self.high:g}]")
        if 0 in self.grid and self.low > 0 and self.zero == 0:
            raise ValueError("the grid holds 0, which the range does not; give zero a probability")
        return self

    def holds(self, value: object) -> bool:
        """Whether it can have this value."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high or (value == 0 and self.zero > 0)


class IntParameter(_Parameter):
    """A whole number in [low, high]."""

    type: Literal["int"]
    low: int = Field(ge=-(2**63), lt=2**63)
    high: int = Field(ge=-(2**63), lt=2**63)
    log: bool = False
    grid: tuple[int, ...] = ()
    """Values of the grid sampler; all of them when empty."""

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        _check_bounds(self.low, self.high, log=self.log)
        outside = [v for v in self.grid if not self.low <= v <= self.high]
        if outside:
            raise ValueError(f"grid values {outside} lie outside [{self.low}, {self.high}]")
        return self

    def holds(self, value: object) -> bool:
        """Whether it can have this value."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high  # type: ignore[operator]


class CategoricalParameter(_Parameter):
    """One of a few values."""

    type: Literal["categorical"]
    choices: tuple[Value, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError(f"choices {list(self.choices)} repeat a value; name each once")
        return self

    def holds(self, value: object) -> bool:
        """Whether it can have this value."""
        return value in self.choices


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")
]


def exists(name: str, parameter: Parameter, values: Mapping[str, Value]) -> bool:
    """Whether a parameter exists with these values: no lambda without VMASK."""
    if name in WEIGHTS and values.get("vmask", True) is False:
        return False
    return all(values.get(other) == wanted for other, wanted in parameter.when.items())


def samples(parameter: Parameter) -> list[Value]:
    """Values that stand for all of them: every choice, a range's ends, a short range whole."""
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.choices)
    if isinstance(parameter, IntParameter) and parameter.high - parameter.low < 64:
        return list(range(parameter.low, parameter.high + 1))
    return [parameter.low, parameter.high]


def _check_bounds(low: float, high: float, *, log: bool) -> None:
    if (fault := bounds_fault({"low": low, "high": high, "log": log})) is not None:
        raise ValueError(fault)


def bounds_fault(given: Any) -> str | None:
    """What is wrong between the bounds of a parameter, though other fields may be wrong too.

    Args:
        given: a mapping, checked or not; anything else has no bounds.
    """
    if not isinstance(given, Mapping):
        return None
    low, high = given.get("low"), given.get("high")
    if not all(isinstance(end, (int, float)) and abs(end) < _LARGEST for end in (low, high)):
        return None
    if low > high:  # type: ignore[operator]
        return f"low={low:g} is above high={high:g}; swap them"
    if given.get("log") is True and low <= 0:  # type: ignore[operator]
        return f"low={low:g} has no logarithm; take a low above 0, with zero: 0.2 for an exact 0"
    return None
