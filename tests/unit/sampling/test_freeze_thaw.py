"""What freeze-thaw foretells and chooses, on trials made up so that the answer is plain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safr_study.sampling.freeze_thaw import (
    LEAST,
    Outlook,
    Standing,
    Trained,
    choose,
    dominating,
    levels,
)

EPOCHS = 12
REFERENCE = (50.0, 0.0)
NOTHING = np.zeros((0, 1))
"""No new settings."""
PAUSED, ENDED, RUNNING, APART = Standing.PAUSED, Standing.ENDED, Standing.RUNNING, Standing.APART


def trial(
    number: int,
    place: float,
    end: tuple[float, float],
    standing: Standing = ENDED,
    *,
    reached: int = 6,
    noise: tuple[float, float] = (0.0, 0.0),
) -> Trained:
    """A curve that rises in a straight line of log epochs to its end."""
    curve = {
        epoch: tuple(
            r + (e - r) * np.log(epoch + 1) / np.log(EPOCHS + 1) + n
            for r, e, n in zip(REFERENCE, end, noise, strict=True)
        )
        for epoch in (2, 6)
        if epoch <= reached
    }
    measured = tuple(e + n for e, n in zip(end, noise, strict=True))
    return Trained(
        number, standing, (place,), curve, measured if standing in {ENDED, APART} else None
    )


def a_study(seed: int) -> list[Trained]:
    """Trials along a trade-off, half of them ended and half paused, a bit noisy."""
    draws = np.random.default_rng(seed)
    found = []
    for number, place in enumerate(draws.random(10)):
        end = (60 + 10 * place, 20 - 15 * place**2)
        noise = tuple(draws.normal(0, 0.3, 2).tolist())
        standing = ENDED if number % 2 else PAUSED
        reached = 6 if number % 4 else 2
        found.append(trial(number, place, end, standing, reached=reached, noise=noise))
    return found


def outlook(trials: list[Trained]) -> Outlook:
    return Outlook(trials, epochs=EPOCHS, reference=REFERENCE)


def test_levels_are_those_of_all_though_the_good_alone_come_far() -> None:
    # Every training gains 4 points from rung to rung; only the better half goes on.
    trials = [
        Trained(
            n,
            ENDED if n >= 5 else PAUSED,
            (0.5,),
            {2: (60.0 + n, 1.0)} | ({6: (64.0 + n, 2.0)} if n >= 5 else {}),
            (68.0 + n, 3.0) if n >= 5 else None,
        )
        for n in range(10)
    ]
    mean, scale = levels(trials, EPOCHS)
    assert [mean[epoch][0] for epoch in (2, 6, 12)] == pytest.approx([64.5, 68.5, 72.5])
    # Control: the mean of those that came so far is another.
    assert np.mean([t.end[0] for t in trials if t.end]) == pytest.approx(75.0)
    assert scale[12][0] == pytest.approx(scale[2][0])
    assert scale[2][1] == 1.0


def test_a_paused_trial_ends_as_its_place_and_its_curve_say() -> None:
    trials = a_study(0)
    paused = [t for t in trials if t.standing is PAUSED]
    means, spreads = outlook(trials).ends(paused)
    truth = np.array([(60 + 10 * t.point[0], 20 - 15 * t.point[0] ** 2) for t in paused])
    assert np.abs(means - truth).mean(axis=0) == pytest.approx((0.0, 0.0), abs=1.2)
    assert (spreads < 3.0).all()


def test_what_runs_elsewhere_is_taken_to_end_as_expected() -> None:
    trials = a_study(1)
    one = next(t for t in trials if t.standing is PAUSED)
    running = [Trained(t.number, RUNNING, t.point, t.curve) if t is one else t for t in trials]
    before, after = outlook(trials), outlook(running)
    assert after.ends([one])[0] == pytest.approx(before.ends([one])[0], abs=1e-3)
    assert (after.ends([one])[1] < before.ends([one])[1]).all()
    # It counts for the front, so that a second worker looks elsewhere.
    gains = [o.gains(*o.settings(np.array([one.point])))[0] for o in (before, after)]
    assert gains[1] <= gains[0]


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_gains_are_never_negative_and_order_the_choices(seed: int) -> None:
    trials = a_study(seed)
    paused = [t for t in trials if t.standing is PAUSED]
    points = np.random.default_rng(seed).random((20, 1))
    found = choose(outlook(trials), paused, points, epochs=EPOCHS)
    assert len(found) == len(paused) + 20
    assert all(choice.gain >= 0 for choice in found)
    left = {t.number: EPOCHS - max(t.curve) for t in paused}
    rates = [c.gain / (EPOCHS if c.resumed is None else left[c.resumed]) for c in found]
    assert rates == sorted(rates, reverse=True)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_a_trial_that_dominates_all_is_worth_its_end(seed: int) -> None:
    trials = a_study(seed)
    draws = np.random.default_rng(seed)
    best = trial(99, float(draws.random()), (75.0, 25.0), PAUSED, reached=6)
    everybody = [*trials, best]
    looked = outlook(everybody)
    paused = [t for t in everybody if t.standing is PAUSED]
    gains = {c.resumed: c.gain for c in choose(looked, paused, NOTHING, epochs=EPOCHS, own=True)}
    assert gains[99] > LEAST * looked.hypervolume
    assert gains[99] == max(gains.values())
    assert dominating(paused, everybody) == best
    # Neither one that another equals somewhere, nor one that is alone.
    twin = trial(98, 0.5, (75.0, 20.0), ENDED)
    assert dominating(paused, [*everybody, twin]) == best
    assert dominating(paused, [*everybody, trial(98, 0.5, (76.0, 20.0), ENDED)]) is None
    assert dominating([best], [best]) is None


def test_equal_trials_have_equal_gains_and_the_first_is_taken() -> None:
    trials = a_study(3)
    twins = [Trained(n, PAUSED, (0.4,), {2: (60.0, 8.0)}) for n in (20, 21)]
    for order in (twins, twins[::-1]):
        found = choose(outlook([*trials, *order]), order, NOTHING, epochs=EPOCHS)
        assert found[0].gain == pytest.approx(found[1].gain, rel=1e-6)
        assert found[0].resumed == order[0].number


def test_trials_apart_teach_and_are_on_no_front() -> None:
    trials = a_study(4)
    apart = trial(30, 1.1, (71.0, 2.0), APART)
    counted = Trained(30, ENDED, apart.point, apart.curve, apart.end)
    two = outlook([*trials, apart]), outlook([*trials, counted])
    means = [one.settings(np.array([[1.0], [1.1]]))[0] for one in two]
    assert means[0] == pytest.approx(means[1])
    assert two[0].front[:, 0].max() < two[1].front[:, 0].max()
    assert (len(two[0].recommended()), 30 in two[1].recommended()) == (len(two[0].front), True)
    # A trial without a place counts by what was measured.
    bare = Trained(31, ENDED, None, {}, (80.0, 1.0))
    assert (80.0, 1.0) in map(tuple, outlook([*trials, bare]).front.tolist())


def test_three_objectives_and_repeated_trainings() -> None:
    draws = np.random.default_rng(0)
    trials = [
        Trained(
            n,
            ENDED if n % 2 else PAUSED,
            (float(x),),
            {2: (x, 1 - x, x * x)},
            (x + 1, 2 - x, x * x + 1) if n % 2 else None,
        )
        for n, x in enumerate(draws.random(8).tolist())
    ]
    looked = Outlook(trials, epochs=EPOCHS, reference=(0.0, 0.0, 0.0))
    paused = [t for t in trials if t.standing is PAUSED]
    found = choose(looked, paused, np.array([[0.5], [0.1]]), epochs=EPOCHS, repeats=3)
    assert len(found) == 6
    assert found[0].gain >= 0


def test_what_is_decided_depends_on_what_is_given_alone() -> None:
    points = np.random.default_rng(1).random((30, 1))

    def chosen() -> list[object]:
        trials = a_study(7)
        paused = [t for t in trials if t.standing is PAUSED]
        return list(choose(outlook(trials), paused, points, epochs=EPOCHS))

    assert chosen() == chosen()
