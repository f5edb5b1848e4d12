"""How sure a number is: intervals over seeds and examples, the chance of a place on the front.

No torch here: what ranks and reports a study starts without it.
"""

from safr_study.uncertainty.bootstrap import (
    crossed_bootstrap,
    front_probability,
    front_probability_over_seeds,
)
from safr_study.uncertainty.intervals import (
    Interval,
    noise_floor,
    normal_interval,
    t_interval,
    within_noise,
)
from safr_study.uncertainty.intervals_over_seeds import (
    difference,
    interval,
    intervals,
    percentile_interval,
)

__all__ = [
    "Interval",
    "crossed_bootstrap",
    "difference",
    "front_probability",
    "front_probability_over_seeds",
    "interval",
    "intervals",
    "noise_floor",
    "normal_interval",
    "percentile_interval",
    "t_interval",
    "within_noise",
]
