"""A study in a ledger with trials of every kind, for the tests of what shows a whole study."""

from __future__ import annotations

from plain_scores import changed, deletions_of, plain_scores
from run_results import run_result
from stored_study import ask, begin, epoch, stop_early, study_spec
from synthetic_confirmation import draw
from synthetic_confirmation import run as confirmed_run

from safr_study.home import Home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import record_run
from safr_study.records import LayerMeasures, Replicate, to_plain

VALUES = {
    0: (72.5625, 5.375),
    1: (71.4375, 7.3125),
    2: (70.0625, 14.28125),
    3: (73.15625, 3.8125),
    4: (69.0, 14.0),
    5: (71.0, 7.0),
    6: (66.25, 16.71875),
    7: (60.0, 21.5),
}
"""Accuracy and SRS(30) of the complete trials; no two numbers are the same."""
SATURATED = 7
FRONT = {0, 1, 2, 3, 6, 7}
"""By hand: 4 is dominated by 2, and 5 by 1."""
STOPPED, FAILED, RUNNING = 8, 9, 10
FAILURE = "the loss is no number after epoch 1; take a smaller learning rate"


def varied_study(home: Home, name: str = "s", **changes: object) -> Ledger:
    """Eight complete trials, one stopped, one failed, one that runs."""
    ledger = begin(home, study_spec(name, trials=12, sampler="random", **changes))
    for number in ask(ledger, 11):
        for reached in range(1, 3 + number % 2):
            ledger.record_epoch(number, epoch(reached, seconds=1.5 + number))
        if number in VALUES:
            end(ledger, number, VALUES[number], saturated=number == SATURATED)
        elif number == STOPPED:
            stop_early(ledger, number)
        elif number == FAILED:
            ledger.fail(number, FAILURE)
    return ledger


def end(ledger: Ledger, number: int, values: tuple[float, ...], *, saturated: bool = False) -> None:
    """Complete a trial; what was measured of it goes with its values."""
    accuracy, srs = values[:2]
    plain = plain_scores(saturated=saturated)
    deletion = vars(deletions_of(plain)[0]) | {
        "srs": srs,
        "accuracy_top": accuracy - srs,
        "srs_se": 1.0 + number / 8,
    }
    scores = changed(
        plain,
        accuracy=accuracy,
        accuracy_se=1.5 + number / 16,
        deletions=[deletion],
        superposition=to_plain((layer("embedding", number), layer("ffn1_pre", number))),
        gate_openness=None if number == 0 else 0.25 + number / 32,
    )
    ledger.complete(
        number,
        run_result(Replicate(0, values), scores=scores, seconds=9.0 + number),
    )


def layer(name: str, number: int) -> LayerMeasures:
    """Measures that differ between layers and trials, so that a swap shows."""
    base = 0.125 + number / 64 + (0.5 if name == "ffn1_pre" else 0.0)
    return LayerMeasures(
        layer=name,
        block=0,
        mean_capacity=base,
        mean_capacity_important=base + 1 / 128,
        mean_capacity_less_important=base - 1 / 128,
        total_capacity_share=base + 1 / 256,
        interference_energy=base + 1 / 512,
        mean_cosine=base + 1 / 1024,
        participation_ratio=2.0 + base,
        effective_rank=3.0 + base,
        stable_rank=1.0 + base,
        hoyer_sparsity=base,
        active_share=None,
        dead_share=None,
        mean_norm=16.0 + base,
    )


def confirm_front(ledger: Ledger, seeds: tuple[int, ...] = (1, 2, 3)) -> None:
    """Runs of all of the front and the baselines under new seeds."""
    for number in FRONT:
        accuracy, srs = VALUES[number]
        for seed in seeds:
            full = draw(accuracy / 100, 100 * number + seed)
            top = full & draw(1 - srs / accuracy, 100 * number + seed + 50)
            record_run(ledger, confirmed_run(number, seed, full, top))
