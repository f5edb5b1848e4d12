"""Freeze-thaw search: after each rung, which training goes on, or which new one begins.

A Gaussian process for each objective over (setting, epoch) foretells what every trial would end
with. Of all paused trials and of many new settings the one is trained next whose end is expected to
add most to the front's hypervolume for each epoch that it still takes (Swersky, Snoek and Adams,
2014; here with several objectives). Pure logic over numbers: it knows no cluster and no ledger,
and what it decides depends on what it is given alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from safr_study.pareto import front_numbers, hypervolume, top_k
from safr_study.sampling.expected_gain import expected_gain
from safr_study.sampling.gaussian_process import Curves, Kernel, Pairs, Process, fit

Floats = NDArray[np.float64]
Vector = tuple[float, ...]

FITTED = 80
"""Measurements to which the covariance is fitted, of the newest trials."""
LEAST = 0.005
"""Share of the front's hypervolume: a paused trial that is expected to add it is trained to its
end, also where nothing new may begin."""
_SHRINK = 4
"""Trials of which half of a change of scale from one rung to the next is believed."""


MEASURED = 320
"""Measurements that are learnt from; of a longer study the best trials and the newest."""
BEST = 40
"""The best ones among them, spread along their fronts."""


class Standing(StrEnum):
    """How a trial stands."""

    PAUSED = "paused"
    RUNNING = "running"
    ENDED = "ended"
    APART = "apart"
    """It ended in another study, or misses a constraint: it is learnt from, and on no front."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What is known of one trial; values are larger where they are better."""

    number: int
    """Not of another trial; at least 0."""
    standing: Standing
    point: Vector | None
    """Coordinates of its setting; ``None``: it has no place among the others, as without VMASK."""
    curve: Mapping[int, Vector]
    """Objectives by epochs trained."""
    end: Vector | None = None
    """Objectives at its end."""

    def measured(self, epochs: int) -> dict[int, Vector]:
        """Values by epoch; its end counts as the last one, whenever it came."""
        found = {epoch: values for epoch, values in self.curve.items() if epoch < epochs}
        return found if self.end is None else {**found, epochs: self.end}


class Outlook:
    """What trials and settings are expected to end with, given what was measured."""

    def __init__(
        self,
        trials: Sequence[Trained],
        *,
        epochs: int,
        reference: Sequence[float],
        kernels: Sequence[Kernel] | None = None,
    ) -> None:
        """Fit the processes.

        Args:
            trials: at least one that is measured and has a point.
            epochs: of a whole training.
            reference: of the hypervolume; as values, larger is better.
            kernels: one for each objective; ``None``: those that are likeliest here.
        """
        self._trials, self._epochs = trials, epochs
        self._reference = np.array(reference, dtype=np.float64)
        placed = [trial for trial in trials if trial.point is not None]
        self._mean, self._scale = levels(placed, epochs)
        rows = [(t, e, values) for t in placed for e, values in t.measured(epochs).items()]
        at = _curves([t for t, _, _ in rows], [e for _, e, _ in rows])
        scaled = np.array([(np.array(v) - self._mean[e]) / self._scale[e] for _, e, v in rows])
        newest = np.sort(np.argsort(-at.trials, kind="stable")[:FITTED])
        pairs = Pairs(at, at)
        self.kernels = tuple(
            kernels or (fit(at.rows(newest), column[newest]) for column in scaled.T)
        )
        self._processes = [
            Process(kernel, at, column, pairs=pairs)
            for kernel, column in zip(self.kernels, scaled.T, strict=True)
        ]
        counted = [t for t in trials if t.standing in {Standing.RUNNING, Standing.ENDED}]
        worths = self._worths(counted)
        best = front_numbers(worths) == 0
        self.front = worths[best]
        """`[F, M]`: what the settings of trials that have ended or run are expected to end with;
        measured ends of what has no place."""
        # A gain is over this front, so its settings are taken to be worth what is expected: else
        # they would be found better than themselves, and trained again and again. So is what runs.
        running = (trial.standing is Standing.RUNNING for trial in counted)
        known = [t.point for t, a, b in zip(counted, best, running, strict=True) if a or b]
        ends = self._settings([point for point in known if point is not None])
        self._processes = [process.given(ends) for process in self._processes]
        self.hypervolume = hypervolume(self.front, self._reference)

    def ends(self, trials: Sequence[Trained]) -> tuple[Floats, Floats]:
        """Means and standard deviations `[N, M]` of the ends of trials, without noise."""
        return self._foretold(_curves(trials, [self._epochs] * len(trials)))

    def settings(self, points: Floats) -> tuple[Floats, Floats]:
        """The same of settings `[N, D]` that no trial has."""
        return self._foretold(self._settings(points))

    def gains(self, means: Floats, spreads: Floats) -> Floats:
        """Hypervolume `[N]` that each end is expected to add to the front."""
        return expected_gain(means, spreads, self.front, self._reference)

    def _settings(self, points: Floats | Sequence[Vector]) -> Curves:
        dims, count = self._processes[0].at.points.shape[1], len(points)
        return Curves(
            np.reshape(points, (count, dims)),
            np.full(count, float(self._epochs)),
            np.full(count, -1),
        )

    def _foretold(self, wanted: Curves) -> tuple[Floats, Floats]:
        pairs = Pairs(self._processes[0].at, wanted)
        found = [process.predict(wanted, pairs) for process in self._processes]
        means, variances = (np.stack(column, axis=1) for column in zip(*found, strict=True))
        mean, scale = self._mean[self._epochs], self._scale[self._epochs]
        spreads: Floats = scale * np.sqrt(variances)
        return mean + scale * means, spreads

    def recommended(self) -> list[int]:
        """Numbers of the ended trials whose settings are expected to be the front."""
        ended = [trial for trial in self._trials if trial.standing is Standing.ENDED]
        fronts = front_numbers(self._worths(ended))
        return [trial.number for trial, front in zip(ended, fronts, strict=True) if front == 0]

    def _worths(self, trials: Sequence[Trained]) -> Floats:
        """`[N, M]`: what the setting of each is expected to end with; measured without a place."""
        found = np.full((len(trials), len(self._reference)), -np.inf)
        for row, trial in enumerate(trials):
            if trial.point is None and trial.end is not None:
                found[row] = trial.end
        placed = [row for row, trial in enumerate(trials) if trial.point is not None]
        if placed:
            found[placed] = self.settings(np.array([trials[row].point for row in placed]))[0]
        return found


def window(trials: Sequence[Trained], epochs: int) -> list[Trained]:
    """The trials to learn from, in their order: all, or the best ended ones and the newest.

    Args:
        trials: by number.
        epochs: of a whole training.
    """
    left = MEASURED
    if sum(len(trial.measured(epochs)) for trial in trials) <= left:
        return list(trials)
    ended = [trial for trial in trials if trial.standing is Standing.ENDED]
    ends = np.array([trial.end for trial in ended], dtype=np.float64)
    best = {ended[row].number for row in np.flatnonzero(top_k(ends, BEST))} if ended else set()
    kept: set[int] = set()
    for trial in sorted(trials, key=lambda one: (one.number in best, one.number), reverse=True):
        left -= len(trial.measured(epochs))
        if left < 0:
            break
        kept.add(trial.number)
    return [trial for trial in trials if trial.number in kept]


def _curves(trials: Sequence[Trained], times: Sequence[int]) -> Curves:
    dims = len(trials[0].point or ()) if trials else 0
    return Curves(
        np.reshape([trial.point for trial in trials], (len(trials), dims)),
        np.array(times, dtype=np.float64),
        np.array([trial.number for trial in trials], dtype=np.int64),
    )


def levels(trials: Sequence[Trained], epochs: int) -> tuple[dict[int, Floats], dict[int, Floats]]:
    """Mean and scale `[M]` of the objectives of all trials, by epoch.

    Those that come far are the better ones: their own mean would hide what training gains. So each
    step from one epoch to the next is that of the trials which have both.

    Args:
        trials: at least one that is measured.
        epochs: of a whole training.
    """
    curves = [trial.measured(epochs) for trial in trials]
    times = sorted({epoch for curve in curves for epoch in curve} | {epochs})
    first = np.array([curve[times[0]] for curve in curves if times[0] in curve])
    mean, scale = {times[0]: first.mean(axis=0)}, {times[0]: _spread(first)}
    for before, after in pairwise(times):
        both = [curve for curve in curves if before in curve and after in curve]
        mean[after], scale[after] = mean[before], scale[before]
        if both:
            here, there = (np.array([curve[time] for curve in both]) for time in (before, after))
            mean[after] = mean[before] + (there - here).mean(axis=0)
            ratio = _spread(there) / _spread(here)
            scale[after] = scale[before] * ratio ** (len(both) / (len(both) + _SHRINK))
    return mean, scale


def _spread(values: Floats) -> Floats:
    found = values.std(axis=0)
    return np.where(found > 1e-9, found, 1.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is trained next."""

    resumed: int | None
    """Number of a paused trial; ``None``: a setting begins."""
    setting: int | None
    """Row of the new settings, best first in the order of ``ranked``."""
    gain: float
    """Hypervolume that its end is expected to add."""


def choose(
    outlook: Outlook,
    paused: Sequence[Trained],
    settings: Floats,
    *,
    epochs: int,
    repeats: int = 1,
    likely: Floats | None = None,
    own: bool = False,
) -> list[Choice]:
    """All that could be trained next, that with the most expected gain per remaining epoch first.

    Args:
        outlook: on all trials.
        paused: those that may go on.
        settings: `[N, D]`, those that may begin.
        epochs: of a whole training.
        repeats: trainings of each trial that reaches its end.
        likely: `[P + N]`, for paused trials and settings how likely each keeps the constraints;
            ``None``: certainly.
        own: whether a paused trial is worth what it ends with itself, as a model that a study has
            in the end, or what its setting does, as a search for good settings needs it.
    """
    known = np.reshape([trial.point for trial in paused], (len(paused), settings.shape[1]))
    means, spreads = outlook.settings(np.concatenate([known, settings]))
    if own and paused:
        means[: len(paused)], spreads[: len(paused)] = outlook.ends(paused)
    gains = outlook.gains(means, spreads)
    if likely is not None:
        gains = gains * likely
    begun = [max(trial.curve, default=0) for trial in paused]
    left = np.array([*begun, *[0] * len(settings)])
    costs = epochs * repeats - left
    order = np.argsort(-gains / costs, kind="stable")
    return [
        Choice(
            paused[row].number if row < len(paused) else None,
            None if row < len(paused) else row - len(paused),
            float(gains[row]),
        )
        for row in order.tolist()
    ]


def dominating(paused: Sequence[Trained], trials: Sequence[Trained]) -> Trained | None:
    """A paused trial that at its last rung is better than all others there; ``None``: none is.

    Args:
        paused: those that may go on.
        trials: all, these too.
    """
    for trial in paused:
        rung = max(trial.curve, default=0)
        here = [other.curve[rung] for other in trials if rung in other.curve and other != trial]
        own = np.array(trial.curve.get(rung, ()))
        if here and all((own >= other).all() and (own > other).any() for other in here):
            return trial
    return None
