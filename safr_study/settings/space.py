"""Search spaces: which settings of a trial vary, over what, and which trials always run first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from safr_study.errors import BadInput, BadInputs, did_you_mean
from safr_study.settings.base import Settings, sentence_of
from safr_study.settings.constraints import Constraint
from safr_study.settings.parameters import WEIGHTS, Parameter, Value, bounds_fault, exists, samples
from safr_study.settings.training import ModelShape, Penalties, TrainConfig

_TRAIN_FIELDS = (
    "learning_rate",
    "warmup",
    "decay",
    "batch_size",
    "patience",
    "texts",
    "train_encoder",
    "deletion_augmentation",
    "deletion_bound",
)
TUNABLE = (*ModelShape.model_fields, *Penalties.model_fields, *_TRAIN_FIELDS)
"""Every setting of a trial that a space may name."""


class Baseline(Settings):
    """A trial that always runs first, against which the others are read."""

    name: str = Field(min_length=1)
    values: dict[str, Value]
    """Its settings; a parameter of the space that is not named takes the default of training."""


DEFAULT_BASELINES = (
    Baseline(name="no-vmask", values={"vmask": False}),
    Baseline(name="vmask-only", values={"lambda_imp": 0.0, "lambda_inter": 0.0}),
)


def second_only(*, vmask: bool) -> Baseline:
    """The baseline of studies over pairs: what the second text alone tells.

    Args:
        vmask: whether a trial without VMASK would lack an objective.
    """
    plain: dict[str, Value] = (
        {"lambda_imp": 0.0, "lambda_inter": 0.0} if vmask else {"vmask": False}
    )
    return Baseline(name="second-only", values={"texts": "second", **plain})


class SearchSpace(Settings):
    """What a study may vary."""

    later: ClassVar[frozenset[str]] = frozenset({"starts"})

    name: str = Field(min_length=1)
    description: str = ""
    """What the space is for, in a sentence or two."""
    parameters: dict[str, Parameter] = Field(min_length=1)
    """Parameters by the name of the setting, sampled in this order."""
    fixed: dict[str, Value] = Field(default_factory=dict)
    """Settings of every trial but the baselines that say otherwise."""
    points: tuple[dict[str, Value], ...] = ()
    """What every sampler tries first, in this order, and the grid sampler alone; each names every
    parameter that exists with its value."""
    starts: dict[str, tuple[dict[str, Value], ...]] = Field(default_factory=dict)
    """Points by a name that asks for them (`begun_at`); of no effect otherwise."""
    constraints: tuple[Constraint, ...] = ()
    """What a trial must reach to be ranked; samplers learn to keep them."""
    baselines: tuple[Baseline, ...] = DEFAULT_BASELINES

    @classmethod
    def parse(cls, values: object, *, where: str = "") -> Self:
        """Check the values; faults between fields are shown next to the faults of fields."""
        try:
            return super().parse(values, where=where)
        except BadInputs as found:
            of_fields = [fault for fault in found.faults if fault.field != (where or "settings")]
            of_fields += _hidden_faults(values, where, of_fields)
            sentences = _faults_between(*_sound(values)) if isinstance(values, Mapping) else []
            between = [BadInput(where or "space", sentence) for sentence in sentences]
            raise BadInputs([*of_fields, *between] or found.faults) from None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        parts = (self.parameters, self.fixed, self.points, self.constraints, self.baselines)
        faults = _faults_between(*parts)
        for name, points in self.starts.items():
            faults += _point_faults(points, self.parameters, self.fixed, f"starts.{name}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def begun_at(self, start: str | None) -> Self:
        """The space with the points of one of its starts before its own; ``None``: as it is.

        Raises:
            BadInput: it has no such start; says which it has.
        """
        if start is not None and start not in self.starts:
            has = f"it has {', '.join(self.starts)}" if self.starts else "it has none"
            raise BadInput("start", f"{start!r} is no start of the space {self.name!r}; {has}")
        first = () if start is None else self.starts[start]
        points = (*first, *(point for point in self.points if point not in first))
        return self.model_copy(update={"points": points, "starts": {}})


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
    parts = {**training, "shape": shape, "penalties": penalties, "seed": seed}
    return TrainConfig.model_validate({**template.model_dump(), **parts})


def _only(values: dict[str, Value], names: Any) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name in names}


def _hidden_faults(values: object, where: str, found: Sequence[BadInput]) -> list[BadInput]:
    """Faults between the bounds of a parameter that another fault of it hides."""
    parameters = values.get("parameters") if isinstance(values, Mapping) else None
    told = {(fault.field, fault.problem) for fault in found}
    hidden = []
    for name, given in parameters.items() if isinstance(parameters, Mapping) else ():
        field = ": ".join(part for part in (where, f"parameters.{name}") if part)
        fault = bounds_fault(given)
        if fault is not None and (field, fault) not in told:
            hidden.append(BadInput(field, fault))
    return hidden


def _sound(values: Mapping[Any, Any]) -> tuple[Any, ...]:
    """The parts of an unchecked space that are right by themselves, for `_faults_between`.

    A parameter or point that is not is ``None``: its name and place count all the same.
    """
    parameters = values.get("parameters")
    named = parameters.items() if isinstance(parameters, Mapping) else ()
    points, constraints, baselines = (
        [_valid(kind, one) for one in given] if isinstance(given, (list, tuple)) else []
        for kind, given in (
            (dict[str, Value], values.get("points")),
            (Constraint, values.get("constraints")),
            (Baseline, values.get("baselines")),
        )
    )
    return (
        {str(name): _valid(Parameter, one) for name, one in named},
        _valid(dict[str, Value], values.get("fixed", {})) or {},
        points,
        [constraint for constraint in constraints if constraint],
        [baseline for baseline in baselines if baseline],
    )


def _valid(kind: Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return None


def _faults_between(
    parameters: Mapping[str, Parameter | None],
    fixed: dict[str, Value],
    points: Iterable[dict[str, Value] | None],
    constraints: Iterable[Constraint],
    baselines: Iterable[Baseline],
) -> list[str]:
    """What is wrong in a space whose parts are each right by themselves, one sentence each."""
    faults = [
        f"baselines: the name {name!r} is given twice"
        for name in _repeated(baseline.name for baseline in baselines)
    ]
    faults += [
        f"constraints: {text!r} is given twice; keep one"
        for text in _repeated(constraint.text for constraint in constraints)
    ]
    unfit = _unknown("fixed", fixed) or _misfits("fixed", fixed)
    faults += unfit
    # A fault of the fixed values is shown once, not with every parameter.
    beside = {} if unfit else fixed
    earlier: dict[str, Parameter | None] = {}
    for name, parameter in parameters.items():
        where = f"parameters.{name}"
        faults += _unknown(where, [name])
        if name in fixed:
            faults.append(f"{name} is both fixed and a parameter; keep one")
        if name == "vmask" and (late := [weight for weight in WEIGHTS if weight in earlier]):
            faults.append(f"{where} must come before {', '.join(late)}, which exist only with it")
        if parameter is not None:
            faults += _conditions(where, parameter, fixed, earlier)
            for value in samples(parameter):
                faults += _misfits(where, {**beside, name: value})
        earlier[name] = parameter
    faults += _point_faults(points, parameters, beside)
    for baseline in baselines:
        where = f"baselines.{baseline.name}"
        faults += _unknown(where, baseline.values) or _misfits(where, {**beside, **baseline.values})
    return faults


def _conditions(
    where: str,
    parameter: Parameter,
    fixed: Mapping[str, Value],
    earlier: Mapping[str, Parameter | None],
) -> list[str]:
    faults = []
    for other, wanted in parameter.when.items():
        if other not in fixed and other not in earlier:
            faults.append(f"{where}.when: {other} is neither fixed nor an earlier parameter")
            continue
        decided = earlier.get(other)
        never = fixed[other] != wanted if other in fixed else decided and not decided.holds(wanted)
        if never:
            faults.append(f"{where}.when: {other} is never {wanted!r}, so this never exists")
    return faults


def _point_faults(
    points: Iterable[dict[str, Value] | None],
    parameters: Mapping[str, Parameter | None],
    fixed: Mapping[str, Value],
    part: str = "points",
) -> list[str]:
    faults = []
    seen: list[dict[str, Value]] = []
    for place, point in enumerate(points):
        if point is None:
            continue
        where = f"{part}.{place}"
        faults += [
            f"{where}: {n!r} is no parameter of the space" for n in point.keys() - parameters
        ]
        for name, parameter in parameters.items():
            if parameter is None:
                continue
            there = exists(name, parameter, {**fixed, **point})
            if there and name not in point:
                faults.append(f"{where}: {name} is missing; give it a value")
            elif name in point and not there:
                faults.append(f"{where}: {name} does not exist beside the other values")
            elif there and not parameter.holds(point[name]):
                faults.append(f"{where}: {name} cannot be {point[name]!r} by its parameter")
        if point in seen:
            faults.append(f"{where}: {point} is given twice; keep one")
        seen.append(point)
    return faults


def _unknown(where: str, names: Iterable[str]) -> list[str]:
    return [
        f"{where}: no such setting {name!r}; known are {', '.join(TUNABLE)}"
        + did_you_mean(name, TUNABLE)
        for name in names
        if name not in TUNABLE
    ]


def _repeated(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return sorted({name for name in listed if listed.count(name) > 1})


def _misfits(where: str, values: dict[str, Value]) -> list[str]:
    """Values that no trial could be built from, for example a dropout of 1."""
    try:
        trial_config(TrainConfig(), values, seed=0)
    except ValidationError as error:
        return [
            ": ".join([where, *(str(part) for part in item["loc"][-1:] if part in values)])
            + f": {sentence_of(dict(item))} (with {values})"
            for item in error.errors(include_url=False)
        ]
    return []
