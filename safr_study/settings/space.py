"""Search spaces: which settings of a trial vary, over what, and which trials always run first."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from safr_study.errors import BadInput, BadInputs
from safr_study.settings.base import Settings
from safr_study.settings.model import ModelShape, Penalties
from safr_study.settings.training import TrainConfig

Value = bool | int | float | str
SWITCH_SUFFIX = ".switch"
"""A parameter with an exact zero has a switch of this name; see ``FloatParameter.zero``."""

_TRAIN_FIELDS = ("learning_rate", "batch_size", "patience")
_NO_SUCH = "no such setting"
TUNABLE = (*ModelShape.model_fields, *Penalties.model_fields, *_TRAIN_FIELDS)
"""Every setting of a trial that a space may name."""


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


class IntParameter(_Parameter):
    """A whole number in [low, high]."""

    type: Literal["int"]
    low: int
    high: int
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


class CategoricalParameter(_Parameter):
    """One of a few values."""

    type: Literal["categorical"]
    choices: tuple[Value, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_choices(self) -> Self:
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError(f"choices {list(self.choices)} repeat a value; name each once")
        return self


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")
]


class Baseline(Settings):
    """A trial that always runs first, against which the others are read."""

    name: str = Field(min_length=1)
    values: dict[str, Value]
    """Its settings; a parameter of the space that is not named takes the default of training."""


DEFAULT_BASELINES = (
    Baseline(name="no-vmask", values={"vmask": False}),
    Baseline(name="vmask-only", values={"lambda_imp": 0.0, "lambda_inter": 0.0}),
)


class SearchSpace(Settings):
    """What a study may vary."""

    name: str = Field(min_length=1)
    description: str = ""
    """What the space is for, in a sentence or two."""
    parameters: dict[str, Parameter] = Field(min_length=1)
    """By the name of the setting, sampled in this order."""
    fixed: dict[str, Value] = Field(default_factory=dict)
    """Settings of every trial but the baselines that say otherwise."""
    baselines: tuple[Baseline, ...] = DEFAULT_BASELINES

    @classmethod
    def parse(cls, values: object, *, where: str = "") -> Self:
        """As every setting; names that do not exist are shown beside the faults of the fields."""
        try:
            return super().parse(values, where=where)
        except BadInputs as found:
            # The names are checked on a space whose fields are right: look at them here otherwise.
            named = any(_NO_SUCH in str(fault) for fault in found.faults)
            names = [] if named else _named(values)
            faults = [BadInput(where or "space", sentence) for sentence in names]
            raise BadInputs([*found.faults, *faults]) from None

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [baseline.name for baseline in self.baselines]
        faults = [f"baselines: the name {n!r} is given twice" for n in _repeated(names)]
        unfit = _unknown("fixed", list(self.fixed)) or _misfits("fixed", self.fixed)
        faults += unfit
        # A fault of the fixed values is shown once, not with every parameter.
        beside = {} if unfit else self.fixed
        known: set[str] = set(self.fixed)
        for name, parameter in self.parameters.items():
            faults += _unknown(f"parameters.{name}", [name])
            if name in self.fixed:
                faults.append(f"{name} is both fixed and a parameter; keep one")
            faults += [
                f"parameters.{name}.when: {other} is neither fixed nor an earlier parameter"
                for other in parameter.when
                if other not in known
            ]
            for value in _samples(parameter):
                faults += _misfits(f"parameters.{name}", {**beside, name: value})
            known.add(name)
        for baseline in self.baselines:
            where = f"baselines.{baseline.name}"
            faults += _unknown(where, list(baseline.values)) or _misfits(
                where, {**beside, **baseline.values}
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self


def trial_config(template: TrainConfig, values: dict[str, Value], *, seed: int) -> TrainConfig:
    """The training settings of one trial: the template with the trial's values put in.

    Without VMASK the lambdas are null: there is nothing for them to act on.

    Raises:
        pydantic.ValidationError: values that do not fit together.
    """
    shape = {**template.shape.model_dump(), **_only(values, ModelShape.model_fields)}
    penalties = {**template.penalties.model_dump(), **_only(values, Penalties.model_fields)}
    if not shape["vmask"]:
        penalties |= {"lambda_imp": None, "lambda_inter": None}
    training = _only(values, _TRAIN_FIELDS)
    return TrainConfig.model_validate(
        {
            **template.model_dump(),
            **training,
            "shape": shape,
            "penalties": penalties,
            "seed": seed,
        }
    )


def _only(values: dict[str, Value], names: Any) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name in names}


def _check_bounds(low: float, high: float, *, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("low and high must be finite numbers")
    if low > high:
        raise ValueError(f"low={low:g} is above high={high:g}; swap them")
    if log and low <= 0:
        raise ValueError(
            f"low={low:g} has no logarithm; take a low above 0, with zero: 0.2 for an exact 0"
        )


def _unknown(where: str, names: list[str]) -> list[str]:
    return [
        f"{where}: {_NO_SUCH} {name!r}; known are {', '.join(TUNABLE)}"
        for name in names
        if name not in TUNABLE
    ]


def _named(values: object) -> list[str]:
    """Faults of the names in an unchecked space."""
    faults = []
    for part in ("parameters", "fixed"):
        names = values.get(part) if isinstance(values, dict) else None
        if isinstance(names, dict):
            for name in names:
                faults += _unknown(f"{part}.{name}", [str(name)])
    return faults


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _samples(parameter: Parameter) -> list[Value]:
    """Values that stand for all of them: every choice, a range's ends, a short range whole."""
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.choices)
    if isinstance(parameter, IntParameter) and parameter.high - parameter.low < 64:
        return list(range(parameter.low, parameter.high + 1))
    return [parameter.low, parameter.high]


def _misfits(where: str, values: dict[str, Value]) -> list[str]:
    """Values that no trial could be built from, for example a dropout of 1."""
    try:
        trial_config(TrainConfig(), values, seed=0)
    except ValidationError as error:
        return [
            ": ".join([where, *(str(part) for part in item["loc"][-1:] if part in values)])
            + f": {item['msg'].removeprefix('Value error, ')} (with {values})"
            for item in error.errors(include_url=False)
        ]
    return []
