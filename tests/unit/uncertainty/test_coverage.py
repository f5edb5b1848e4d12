"""Simulated coverage of every interval that is shown, each for the value that it is about.

A two-way crossed design with binary outcomes: a text is predicted right under a seed when a latent
normal variable is positive, the sum of an effect of the text, of the seed, and of chance (this text
under this seed). A second, correlated outcome is that of the same text after deletion. With normal
effects all the expectations have closed forms, so the values to be covered are known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from safr_study.evaluation import srs
from safr_study.uncertainty.bootstrap import crossed_bootstrap
from safr_study.uncertainty.intervals import intervals, normal_interval, t_interval

LOW, HIGH = 0.93, 0.97
"""Where the coverage of a shown 95 % interval must lie."""


@dataclass(frozen=True)
class Design:
    """Standard deviations of the latent effects; accuracy 72 %, 62 % after deletion: SRS is 10."""

    of_texts: float
    of_seeds: float
    of_chance: float
    texts: int = 400
    correlation: float = 0.7
    """Between a text's (seed's, cell's) effects before and after deletion."""

    @property
    def given_text(self) -> float:
        return float(np.hypot(self.of_seeds, self.of_chance))

    def means(self) -> tuple[float, float]:
        total = np.hypot(self.of_texts, self.given_text)
        return float(stats.norm.ppf(0.72) * total), float(stats.norm.ppf(0.62) * total)

    def effects(self, rng: np.random.Generator, deviation: float, *shape: int) -> np.ndarray:
        """`[2, *shape]`: before and after deletion."""
        first, other = rng.normal(size=(2, *shape)) * deviation
        rest = np.sqrt(1 - self.correlation**2)
        return np.stack([first, self.correlation * first + rest * other])

    def draw(
        self, rng: np.random.Generator, repetitions: int, seeds: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right or not `[2, repetitions, seeds, texts]`; effects of texts, and of seeds."""
        of_texts = self.effects(rng, self.of_texts, repetitions, 1, self.texts)
        of_seeds = self.effects(rng, self.of_seeds, repetitions, seeds, 1)
        of_chance = self.effects(rng, self.of_chance, repetitions, seeds, self.texts)
        mean = np.reshape(self.means(), (2, 1, 1, 1))
        return mean + of_texts + of_seeds + of_chance > 0, of_texts, of_seeds

    def on_these_texts(self, of_texts: np.ndarray) -> np.ndarray:
        """Expected accuracy over seeds and chance, `[2, repetitions]`."""
        mean = np.reshape(self.means(), (2, 1, 1, 1))
        return stats.norm.cdf((mean + of_texts) / self.given_text).mean(axis=(2, 3))


SEEDS_DOMINATE = Design(of_texts=0.3, of_seeds=0.2, of_chance=0.6, texts=800)
"""Shares of the variance as with 25,000 texts, whose draw hardly matters, at a size for tests."""
BALANCED = Design(of_texts=1.3, of_seeds=0.1, of_chance=0.7)
CHANCE_DOMINATES = Design(of_texts=0.4, of_seeds=0.02, of_chance=1.2)
DESIGNS = {"seeds": SEEDS_DOMINATE, "balanced": BALANCED, "chance": CHANCE_DOMINATES}


def measured(right: np.ndarray) -> dict[str, np.ndarray]:
    """The per-text contributions `[repetitions, seeds, texts]`, in points."""
    full, deleted = 100.0 * right
    return {"accuracy": full, "srs": full - deleted}


def share(low: np.ndarray, high: np.ndarray, target: np.ndarray | float) -> float:
    return float(np.mean((low <= target) & (target <= high)))


def shown(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the intervals that are shown for each repetition `[repetitions, seeds, texts]`."""
    named = {str(number): table for number, table in enumerate(values)}
    found = [f for f in intervals(named, resamples=1000, seed=seed).values() if f is not None]
    return np.array([f.low for f in found]), np.array([f.high for f in found])


def percentile(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    alone = [[table] for table in values]
    means = crossed_bootstrap(alone, resamples=1000, seed=seed)[..., 0]
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


def assert_covers(coverage: float, repetitions: int) -> None:
    """Inside 93-97 %, and 90 % is excluded by the binomial interval of the simulation itself."""
    hits = round(coverage * repetitions)
    assert LOW <= coverage <= HIGH
    assert stats.binomtest(hits, repetitions).proportion_ci(0.95).low > 0.90


def test_the_design_is_realistic_and_its_closed_forms_are_right() -> None:
    rng = np.random.default_rng(0)
    for design in DESIGNS.values():
        right, of_texts, _ = design.draw(rng, 2000, 2)
        full, deleted = 100 * right.mean(axis=(1, 2, 3))
        error = 100 * np.sqrt(right[0].mean(axis=(1, 2)).var() / 2000)
        assert full == pytest.approx(72, abs=4 * error)
        assert full - deleted == pytest.approx(10, abs=5 * error)
        expected = design.on_these_texts(of_texts).mean(axis=1)
        assert 100 * expected == pytest.approx([full, deleted], abs=5 * error)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("name", DESIGNS)
def test_student_t_covers_the_expectation_over_seeds_on_its_test_set(name, seeds) -> None:
    design, repetitions = replace(DESIGNS[name], texts=300), 1000
    rng = np.random.default_rng(seeds)
    right, of_texts, _ = design.draw(rng, repetitions, seeds)
    full, deleted = 100 * design.on_these_texts(of_texts)
    targets = {"accuracy": full, "srs": full - deleted}
    for metric, values in measured(right).items():
        low, high = shown(values, seed=0)
        assert_covers(share(low, high, targets[metric]), repetitions)


def test_student_t_is_too_narrow_for_other_test_sets() -> None:
    """Control: five seeds on one small test set do not know what other texts would give."""
    right, _, _ = BALANCED.draw(np.random.default_rng(1), 1000, 5)
    assert share(*shown(measured(right)["accuracy"], seed=0), 72.0) < 0.85


@pytest.mark.parametrize("name", DESIGNS)
def test_shown_interval_of_ten_seeds_covers_the_expectation_over_seeds_and_texts(name) -> None:
    repetitions = 500
    right, _, _ = DESIGNS[name].draw(np.random.default_rng(2), repetitions, 10)
    for metric, values in measured(right).items():
        coverage = share(*shown(values, seed=1), {"accuracy": 72.0, "srs": 10.0}[metric])
        assert_covers(coverage, repetitions)


def test_shown_difference_of_two_configurations_covers_theirs() -> None:
    """Paired on seeds and texts: the second is the first after deletion, 10 points worse."""
    repetitions = 500
    for seeds, seed in ((10, 3), (16, 4)):
        right, _, _ = BALANCED.draw(np.random.default_rng(seed), repetitions, seeds)
        one, other = 100.0 * right
        assert_covers(share(*shown(one - other, seed=seed), 10.0), repetitions)


def test_plain_percentile_interval_is_too_narrow_where_seeds_dominate() -> None:
    """Control, P(|t_{S-1}| < z sqrt((S-1)/S)): 85 % with 5 seeds, 90 % with 10."""
    for seeds in (5, 10):
        predicted = 1 - 2 * stats.t.sf(1.959964 * np.sqrt((seeds - 1) / seeds), seeds - 1)
        right, _, _ = SEEDS_DOMINATE.draw(np.random.default_rng(5), 800, seeds)
        coverage = share(*percentile(measured(right)["accuracy"], seed=2), 72.0)
        assert coverage == pytest.approx(predicted, abs=0.03)
        assert coverage < LOW


def test_plain_percentile_interval_is_too_wide_where_chance_dominates() -> None:
    """Control: each resample counts the chance of a text under a seed up to three times."""
    right, _, _ = CHANCE_DOMINATES.draw(np.random.default_rng(6), 500, 10)
    assert share(*percentile(measured(right)["srs"], seed=3), 10.0) > 0.98


def test_normal_interval_of_one_run_covers_that_runs_expectation_over_texts() -> None:
    design, repetitions = BALANCED, 1000
    right, _, of_seeds = design.draw(np.random.default_rng(7), repetitions, 1)
    given_seed = np.hypot(design.of_texts, design.of_chance)
    mean = np.reshape(design.means(), (2, 1))
    full, deleted = 100 * stats.norm.cdf((mean + of_seeds[:, :, 0, 0]) / given_seed)
    hits = 0
    for number, (before, after) in enumerate(zip(*right[:, :, 0], strict=True)):
        found = normal_interval(srs.srs(before, after), srs.srs_se(before, after))
        hits += found.low <= full[number] - deleted[number] <= found.high
    assert_covers(hits / repetitions, repetitions)


def test_student_t_on_normal_values_is_exact() -> None:
    values = np.random.default_rng(8).normal(size=(4000, 4))
    found = [t_interval(row) for row in values]
    hits = sum(interval is not None and interval.low <= 0 <= interval.high for interval in found)
    assert hits / 4000 == pytest.approx(0.95, abs=0.012)
