"""The trials that no sampler decides: baselines first, then the points of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from safr_study.sampling.sampler import grid_points
from safr_study.settings import Baseline, StudySpec, Value, exists


@dataclass(frozen=True, slots=True)
class Planned:
    """A trial that no sampler decides."""

    point: Mapping[str, Value]
    baseline: str | None = None


def planned(spec: StudySpec, number: int) -> Planned | None:
    """The baseline or grid point of this trial number; ``None``: the sampler's."""
    baselines = spec.space.baselines
    if number < len(baselines):
        return Planned(_whole(baselines[number], spec), baselines[number].name)
    if spec.sampler != "grid":
        return None
    rest = itertools.islice(_grid_without_baselines(spec), number - len(baselines), None)
    return next((Planned(point) for point in rest), None)


def planned_trials(spec: StudySpec) -> int:
    """Trials that the study can finish: those asked for, or all that its grid has."""
    if spec.sampler != "grid":
        return spec.trials
    grid = sum(1 for _ in _grid_without_baselines(spec))
    return min(spec.trials, len(spec.space.baselines) + grid)


def _grid_without_baselines(spec: StudySpec) -> Iterator[dict[str, Value]]:
    template = _template(spec)
    done = [{**template, **baseline.values} for baseline in spec.space.baselines]
    return (point for point in grid_points(spec.space) if {**template, **point} not in done)


def _whole(baseline: Baseline, spec: StudySpec) -> dict[str, Value]:
    """A baseline's values with those of training for the parameters that it does not name.

    They are what it would be trained with in any case; written out, the sampler learns from them.
    """
    template = _template(spec)
    point = dict(baseline.values)
    for name, parameter in spec.space.parameters.items():
        if name not in point and exists(name, parameter, {**template, **point}):
            point[name] = template[name]
    return point


def _template(spec: StudySpec) -> dict[str, Value]:
    """What is trained where neither a parameter nor a baseline says otherwise."""
    train = spec.train
    plain = {**train.model_dump(), **train.shape.model_dump(), **train.penalties.model_dump()}
    return {**plain, **spec.space.fixed}
