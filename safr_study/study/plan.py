"""The trials that no sampler decides: baselines first, then the points of a grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from safr_study.settings import StudySpec, Value
from safr_study.study.sampling import grid_points


@dataclass(frozen=True, slots=True)
class Planned:
    """A trial that no sampler decides."""

    point: Mapping[str, Value]
    baseline: str | None = None


def planned(spec: StudySpec, number: int) -> Planned | None:
    """The baseline or grid point of this trial number; ``None``: the sampler's."""
    baselines = spec.space.baselines
    if number < len(baselines):
        return Planned(baselines[number].values, baselines[number].name)
    if spec.sampler != "grid":
        return None
    points = _grid_beside_baselines(spec)
    index = number - len(baselines)
    for position, point in enumerate(points):
        if position == index:
            return Planned(point)
    return None


def planned_trials(spec: StudySpec) -> int:
    """Trials that the study can finish: those asked for, or all that its grid has."""
    if spec.sampler != "grid":
        return spec.trials
    grid = sum(1 for _ in _grid_beside_baselines(spec))
    return min(spec.trials, len(spec.space.baselines) + grid)


def _grid_beside_baselines(spec: StudySpec) -> Iterator[dict[str, Value]]:
    done = [dict(baseline.values) for baseline in spec.space.baselines]
    return (point for point in grid_points(spec.space) if point not in done)
