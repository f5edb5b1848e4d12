"""All measurements of a study in one table.

    SAFR_STUDY_DATA=... PYTHONPATH=tests python -m benchmarks.bench [PART...]

Lines go to docs/results/bench.jsonl as they are measured; the newest of each measurement, by
machine, to the tables of bench.md; where the time of a training step goes, to training-speed.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import (
    causes_cost,
    concurrency,
    driver_load,
    encoder_speed,
    listing,
    study_wall,
    training_lines,
    trial_memory,
)
from benchmarks.measured import FILE, RESULTS, Measured, keep, markdown, newest
from safr_study.settings import CorpusSpec

_SST2 = CorpusSpec(dataset="sst2", train_limit=2000, dev_limit=200)
_STUDY = "--dataset sst2 --trials 24 --seed 0 --epochs 3"

PARTS: dict[str, Callable[[], list[Measured]]] = {
    "concurrency": lambda: concurrency.measure(concurrency.Work(_SST2, epochs=3), 2, repeats=9),
    "study": lambda: study_wall.measure(_STUDY.split(), concurrent=2),
    "listing": lambda: listing.measure(10_000, repeats=3),
    "driver": lambda: driver_load.measure(
        2000, 4, slice(1500, 2000), bound=1.5, sampler="tpe", track=True
    ),
    "scale": lambda: driver_load.measure(
        5000, 200, slice(4500, 5000), bound=1.5, sampler="tpe", track=True
    ),
    "training": lambda: training_lines.measure(RESULTS),
    "encoder": encoder_speed.measure,
    "causes": causes_cost.measure,
    "memory": lambda: trial_memory.measure("imdb", train=320, dev=128),
}


def main(given: Sequence[str] | None = None) -> int:
    """Measure the parts, and print their lines."""
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; none: all")
    args = parser.parse_args(given)
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    logging.basicConfig(level=logging.WARNING)
    lines: list[Measured] = []
    for name in args.parts or PARTS:
        measured = PARTS[name]()
        keep(measured)
        lines += measured
    write_page(RESULTS)
    sys.stdout.write(markdown(lines))
    return 0


def write_page(folder: Path) -> None:
    """The tables of what is kept in the folder, as bench.md."""
    tables = [markdown(lines, where) for where, lines in newest(folder / FILE.name).items()]
    page = "\n".join(["# What a study costs\n", *reversed(tables)])
    (folder / "bench.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
