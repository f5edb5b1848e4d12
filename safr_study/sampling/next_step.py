"""What a study under freeze-thaw trains next: a paused trial, or a setting that is new."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from safr_study.pareto import front_numbers
from safr_study.records import TrialRecord, TrialState
from safr_study.records.study import binding
from safr_study.sampling.cube_samplers import training_key
from safr_study.sampling.fixed_trials import given_trials, planned
from safr_study.sampling.freeze_thaw import (
    LEAST,
    Outlook,
    Standing,
    Trained,
    choose,
    dominating,
    window,
)
from safr_study.sampling.sampler import enqueued
from safr_study.sampling.unit_cube import at_unit, coordinates, from_box, to_box, unit_of
from safr_study.settings import StudySpec, Value

Floats = NDArray[np.float64]

FIRST_POINTS = 6
"""Settings of an even spread that begin before anything is foretold."""
AT_RANDOM = 0.1
"""Share of the decisions by which a random setting begins: a place that looked bad by chance is
seen again."""
EVERYWHERE, NEARBY = 96, 16
"""New settings that are compared: anywhere, and near those of the front. Of very many the best
would lie in the same place again and again."""
_STEP = 0.1
"""Standard deviation, in the unit cube, of what is nearby."""
_LIKE = 0.2
"""Distance over which settings are likely to miss a constraint alike."""
_STREAM = 0x74686177
"""Keeps the draws apart from others of the same study seed."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A new trial."""

    drawn: Mapping[str, Value] | None
    """What its sampler draws; ``None``: the study has planned it."""


@dataclass(frozen=True, slots=True)
class Resume:
    """A paused trial goes on."""

    number: int


class FreezeThaw:
    """The trials of a study, and its next step.

    It is a memory of the ledger: `add`, called for every trial in any order, gives it back, and a
    step depends on that, on the study's seed and on its settings alone.
    """

    def __init__(
        self, spec: StudySpec, reference: Sequence[float], known: Sequence[FrozenTrial] = ()
    ) -> None:
        """Begin without trials.

        Args:
            spec: the study.
            reference: of the hypervolume: one value per objective, in its own direction.
            known: complete trials of another study over the same space.
        """
        self.rungs: tuple[int, ...] = spec.scheduler.rungs(spec.train.epochs)
        """Rungs in epochs, ascending."""
        self._spec, self._space, self._epochs = spec, spec.space, spec.train.epochs
        self._signs = [objective.sign for objective in spec.objectives]
        self._reference = self._signed(reference)
        self._trained: dict[int, Trained] = {}
        self._places: dict[int, Floats] = {}
        """Place of each trial that has one, in the unit cube."""
        self._taken: dict[int, tuple[object, ...]] = {}
        self._kept: dict[int, bool] = {}
        """Whether a trial kept all constraints; not, if it failed."""
        self._asked = 0
        # Numbers that no trial of this study has.
        self._known = [self._of_other(2**40 + at, one) for at, one in enumerate(known)]

    def add(self, trial: TrialRecord) -> None:
        """Note a trial as it is now."""
        number = trial.number
        self._asked = max(self._asked, number + 1)
        drawn = enqueued({k: v for k, v in trial.parameters.items() if v is not None}, self._space)
        self._taken[number] = training_key(drawn, self._space)
        point = to_box(drawn, self._space)
        if point is not None:
            self._places[number] = np.array(unit_of(point, self._space))
        missed = binding(trial, self._space.constraints, trial.violations)
        if trial.state is TrialState.FAILED or missed:
            self._kept[number] = trial.state is not TrialState.FAILED and max(missed) <= 0
        if trial.state in {TrialState.FAILED, TrialState.WAITING}:
            self._trained.pop(number, None)
            return
        self._trained[number] = Trained(
            number=number,
            standing=self._standing(trial),
            point=None if point is None else coordinates(point, self._space),
            curve={
                report.epoch: self._signed(report.objectives)
                for report in trial.epochs
                if report.objectives is not None and not any(map(math.isnan, report.objectives))
            },
            end=None if trial.values is None else self._signed(trial.values),
        )

    @property
    def paused(self) -> list[int]:
        """Numbers of the paused trials."""
        return sorted(n for n, one in self._trained.items() if one.standing is Standing.PAUSED)

    def next(self, *, may_begin: bool) -> Begin | Resume | None:
        """What is trained next; ``None``: nothing that would be worth it.

        Args:
            may_begin: whether new trials may begin, and not paused ones alone go on.
        """
        given = len(given_trials(self._spec))
        if may_begin and planned(self._spec, self._asked) is not None:
            return Begin(None)
        draws = np.random.default_rng([_STREAM, self._spec.seed, self._asked, self._events()])
        drawn_before = self._asked - given
        if may_begin and drawn_before + len(self._known) < FIRST_POINTS:
            return self._begin([self._spread(drawn_before), *self._anywhere(draws)])
        learnt = self._learnt()
        paused = [t for t in learnt if t.standing is Standing.PAUSED and t.point is not None]
        foretells = any(t.point is not None and t.measured(self._epochs) for t in learnt)
        if may_begin and (not foretells or draws.random() < AT_RANDOM):
            return self._begin(self._anywhere(draws))
        step = self._foretold(learnt, paused, draws, may_begin=may_begin) if foretells else None
        if step is None:
            trained = [self._trained[number] for number in sorted(self._trained)]
            waiting = [trial for trial in trained if trial.standing is Standing.PAUSED]
            if (best := dominating(waiting, trained)) is not None:
                return Resume(best.number)
        return step

    def recommended(self) -> list[int]:
        """Numbers of the complete trials that are the front without the luck of one training."""
        learnt = self._learnt()
        if not any(t.point is not None and t.measured(self._epochs) for t in learnt):
            ended = [t for t in learnt if t.standing is Standing.ENDED]
            fronts = front_numbers(np.reshape([t.end for t in ended], (-1, len(self._signs))))
            return [t.number for t, front in zip(ended, fronts, strict=True) if front == 0]
        return self._outlook(learnt).recommended()

    def _learnt(self) -> list[Trained]:
        ours = [self._trained[number] for number in sorted(self._trained)]
        return window([*self._known, *ours], self._epochs)

    def _outlook(self, learnt: Sequence[Trained]) -> Outlook:
        return Outlook(learnt, epochs=self._epochs, reference=self._reference)

    def _foretold(
        self,
        learnt: Sequence[Trained],
        paused: Sequence[Trained],
        draws: np.random.Generator,
        *,
        may_begin: bool,
    ) -> Begin | Resume | None:
        outlook = self._outlook(learnt)
        places = np.zeros((0, len(self._space.parameters)))
        if may_begin:
            places = np.concatenate([self._anywhere(draws), self._nearby(draws)])
        points = [self._point(place) for place in places]
        dims = next(len(trial.point) for trial in learnt if trial.point is not None)
        settings = np.reshape(points, (len(points), dims))
        choices = choose(
            outlook,
            paused,
            settings,
            epochs=self._epochs,
            repeats=self._spec.seeds_per_trial,
            likely=self._likely([*(trial.point for trial in paused), *points]),
            own=not may_begin,
        )
        for choice in choices:
            if choice.resumed is not None:
                if may_begin or choice.gain >= LEAST * outlook.hypervolume:
                    return Resume(choice.resumed)
            elif choice.setting is not None:
                drawn = self._drawn(places[choice.setting])
                if self._is_new(drawn):
                    return Begin(drawn)
        return self._begin(places) if may_begin else None

    def _standing(self, trial: TrialRecord) -> Standing:
        if trial.state is TrialState.RUNNING:
            return Standing.RUNNING if trial.paused_at is None else Standing.PAUSED
        counts = trial.state is TrialState.COMPLETE and self._kept.get(trial.number, True)
        return Standing.ENDED if counts else Standing.APART

    def _of_other(self, number: int, trial: FrozenTrial) -> Trained:
        point = to_box(trial.params, self._space)
        placed = None if point is None else coordinates(point, self._space)
        return Trained(number, Standing.APART, placed, {}, self._signed(trial.values))

    def _signed(self, values: Sequence[float]) -> tuple[float, ...]:
        return tuple(sign * value for sign, value in zip(self._signs, values, strict=True))

    def _events(self) -> int:
        """How much has been measured: it grows from each decision of one worker to the next."""
        return sum(len(one.curve) + (one.end is not None) for one in self._trained.values())

    def _spread(self, index: int) -> Floats:
        """The point of a scrambled Sobol sequence that has this index."""
        from scipy.stats import qmc

        draws = np.random.default_rng([_STREAM, self._spec.seed])
        sequence = qmc.Sobol(len(self._space.parameters), scramble=True, rng=draws)
        return np.asarray(sequence.random_base2(math.ceil(math.log2(FIRST_POINTS)))[index])

    def _anywhere(self, draws: np.random.Generator) -> Floats:
        return draws.random((EVERYWHERE, len(self._space.parameters)))

    def _nearby(self, draws: np.random.Generator) -> Floats:
        """Places near those of the measured front, some coordinates moved and a few drawn anew."""
        ended = [
            t
            for t in self._learnt()
            if t.standing is Standing.ENDED and t.end is not None and t.number in self._places
        ]
        if not ended:
            return np.zeros((0, len(self._space.parameters)))
        fronts = front_numbers([t.end or () for t in ended])
        best = [self._places[t.number] for t, at in zip(ended, fronts, strict=True) if at == 0]
        middle = np.array(best)[draws.integers(0, len(best), NEARBY)]
        kind = draws.random(middle.shape)
        moved = np.clip(middle + draws.normal(0.0, _STEP, middle.shape), 0.0, np.nextafter(1, 0))
        return np.where(kind < 0.1, draws.random(middle.shape), np.where(kind < 0.5, middle, moved))

    def _likely(self, points: Sequence[Sequence[float] | None]) -> Floats | None:
        """How likely each setting keeps the constraints, by the trials near it."""
        known = [n for n in sorted(self._kept) if n in self._places]
        if all(self._kept[number] for number in known):
            return None
        here = np.array(points)
        there = np.array([self._point(self._places[n]) for n in known])
        apart = np.sqrt(((here[:, None] - there[None]) ** 2).sum(axis=2))
        near = np.exp(-apart / _LIKE)
        kept = np.array([self._kept[number] for number in known])
        return np.asarray((1 + near @ kept) / (1 + near.sum(axis=1)))

    def _begin(self, places: Sequence[Floats] | Floats) -> Begin:
        """The first setting that is new; in a space that is used up the first."""
        options = [self._drawn(place) for place in places]
        return Begin(next((one for one in options if self._is_new(one)), options[0]))

    def _drawn(self, place: Floats) -> dict[str, Value]:
        return from_box(at_unit(place.tolist(), self._space), self._space)

    def _point(self, place: Floats) -> tuple[float, ...]:
        return coordinates(at_unit(place.tolist(), self._space), self._space)

    def _is_new(self, drawn: Mapping[str, Value]) -> bool:
        return training_key(drawn, self._space) not in self._taken.values()
