"""How long it takes to rank and show a study of ten thousand trials.

    PYTHONPATH=tests python -m benchmarks.listing --help

The ledger is a journal that was filled as a driver fills it: each trial asked for, its epochs
written, and told. So is the time of a trial's writes, which is the disk's for the most part.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import stored_study

from benchmarks.driver_load import in_memory
from benchmarks.measured import Measured, report
from safr_study.features.study_base.results import load_ledger
from safr_study.features.study_base.stores import open_stores
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger
from safr_study.pareto import rank_study
from safr_study.settings import StudySpec

NAME = "large"
EPOCHS = 3
"""Written of each trial."""


def fill(home: Home, trials: int) -> Ledger:
    """A study of random settings whose values are noise about a trade-off."""
    spec = stored_study.study_spec(NAME, trials=trials, sampler="random")
    ledger = stored_study.begin(home, spec)
    draws = np.random.default_rng(0)
    for _ in range(trials):
        _one_trial(ledger, spec, draws)
    ledger.set_run_ids({number: f"{number:032x}" for number in range(trials)})
    return ledger


def _one_trial(ledger: Ledger, spec: StudySpec, draws: np.random.Generator) -> None:
    trial = ledger.ask(spec)
    assert trial is not None
    for number in range(1, EPOCHS + 1):
        ledger.record_epoch(trial.number, stored_study.epoch(number))
    balance = draws.uniform()
    values = 55 + 20 * balance + draws.normal(0, 2), 15 * (1 - balance) + draws.normal(0, 2)
    stored_study.complete(ledger, trial.number, values)


def measure(trials: int, repeats: int) -> list[Measured]:
    """Fill, rank and list."""
    with tempfile.TemporaryDirectory(dir=in_memory()) as name:
        home = open_home(Path(name))
        fill(home, trials)
        size = home.ledger(NAME).stat().st_size
        read, ranked = [], []
        for _ in range(repeats):
            began = time.perf_counter()
            ledger = load_ledger(NAME, open_stores(home.root))
            records = ledger.trials()
            middle = time.perf_counter()
            facts, spec = ledger.facts, ledger.spec
            rank_study(
                name=NAME,
                dataset=facts.slug,
                objectives=[objective.name for objective in spec.objectives],
                reference_point=facts.reference_point,
                trials=records,
                asked=trials,
            )
            ranked.append(time.perf_counter() - middle)
            read.append(middle - began)
        commands = {
            "pareto": ["pareto", NAME],
            "pareto --json": ["pareto", NAME, "--json"],
            "list": ["list"],
        }
        times = {
            title: [_command(given, home) for _ in range(repeats)]
            for title, given in commands.items()
        }
    title = f"{trials:,} trials"
    facts_of = {"journal_mb": round(size / 1e6, 1), "epochs_per_trial": EPOCHS, "runs": repeats}
    lines = [
        Measured(f"{title}: ranking", statistics.median(ranked), "s", 0.2, facts=facts_of),
        Measured(f"{title}: reading the journal into records", statistics.median(read), "s"),
    ]
    for command, seconds in times.items():
        target = 3.0 if command == "pareto" else None
        lines.append(
            Measured(
                f"{title}: the command `{command}`",
                statistics.median(seconds),
                "s",
                target,
                facts={**facts_of, "all_s": [round(one, 2) for one in seconds]},
            )
        )
    return lines


def _command(given: Sequence[str], home: Home) -> float:
    command = [sys.executable, "-m", "safr_study", *given, "--home", str(home.root)]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main(given: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="listing", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(given)
    report(measure(args.trials, args.repeats))
    return 0


if __name__ == "__main__":
    sys.exit(main())
