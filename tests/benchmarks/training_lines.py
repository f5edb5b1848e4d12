"""The speed of training as lines of `make bench`, with their targets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.measured import Measured
from benchmarks.training_speed import CASES, Line, write
from benchmarks.training_speed import measure as measure_case

FRACTION = {"sst2-treebank": 0.6, "imdb": 0.5}
"""Of the GEMM rate, at least."""
TIMES_FASTER = {"sst2-treebank": 12.0, "imdb": 6.0}
OPTIMISER_SHARE = 0.15
CURVE_EPOCHS = 1.0
OBJECTIVE_EPOCHS = 0.1
CAUSES_EPOCHS = 2.0


def measure(folder: Path) -> list[Measured]:
    """Time every case; the tables, with a step's time by kind of operation, go to the folder."""
    found = [measure_case(case) for case in CASES]
    write(found, folder)
    return lines_of(found)


def lines_of(found: Iterable[Line]) -> list[Measured]:
    """What there are targets for, and what they rest on."""
    lines = []
    for one in found:
        title = f"training on {one.dataset}"
        facts = {"gemm_gflops": round(one.gemm_gflops), "step_ms": round(1e3 * one.seconds, 1)}
        lines += [
            Measured(
                f"{title}: nominal work against the GEMM rate",
                one.fraction,
                "ratio",
                FRACTION.get(one.dataset),
                "at least",
                facts,
            ),
            Measured(
                f"{title}: times faster than a straightforward program",
                one.ratio,
                "ratio",
                TIMES_FASTER.get(one.dataset),
                "at least",
                facts,
            ),
            Measured(
                f"{title}: the optimiser's share of a step",
                one.optimiser_share,
                "ratio",
                OPTIMISER_SHARE,
                facts=facts,
            ),
        ]
        if one.curve_epochs is not None:
            name = f"{title}: SRS at 6 k with 10 random deletions each, against an epoch"
            lines.append(Measured(name, one.curve_epochs, "ratio", CURVE_EPOCHS, facts=facts))
        if one.objective_epochs is not None:
            name = f"{title}: a trial's objectives on dev, against an epoch"
            lines.append(
                Measured(name, one.objective_epochs, "ratio", OBJECTIVE_EPOCHS, facts=facts)
            )
        if one.causes_epochs is not None:
            name = f"{title}: what neurons cause, NAOPC and the layers on dev, against an epoch"
            lines.append(Measured(name, one.causes_epochs, "ratio", CAUSES_EPOCHS, facts=facts))
    return lines
