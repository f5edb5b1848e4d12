"""This code against an older checkout, in turns: training, evaluation, studies, start of commands.

    SAFR_STUDY_DATA=... PYTHONPATH=tests python -m benchmarks.turns OLDER [PART...]

OLDER is a checkout with the same dependencies at hand. Each pair of measurements runs in the order
old, new or new, old, by turns, so that a slow moment of the machine hits both; a line is the mean
of the ratios new / old with its Student-t 95 % interval.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

HERE = Path(__file__).parents[2]
SEARCH = (
    *("search", "--dataset", "sst2", "--study", "turns", "--trials", "6", "--epochs", "3"),
    *("--train-limit", "2000", "--dev-limit", "200", "--seed", "0"),
    *("--sampler", "random", "--scheduler", "none"),
)
"""Of equal work in both: what other samplers draw and which trials are stopped may differ."""
STEPS = """
import sys, time
from itertools import islice
from benchmarks.training_speed import *
corpus = encoded_corpus(CorpusSpec(dataset="sst2-treebank"))
config = TrainConfig(penalties=Penalties(lambda_imp=1.0, lambda_inter=0.1))
batches = list(islice(training_batches(corpus.train, 32, seed=0, epoch=1), 40))
with fast_training(corpus, config) as (model, step, optimiser):
    for _ in range(4):
        [step(batch) for batch in batches]
    for line in sys.stdin:
        began = time.perf_counter()
        if line.strip() == "training":
            [step(batch) for batch in batches]
        else:
            evaluation_seconds(model, corpus, Wanted(shares=(0.3,)))
        print(time.perf_counter() - began, flush=True)
"""
"""Answers each line of its input with the seconds that the work took."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project, run by this interpreter."""

    folder: Path

    def environment(self, home: str) -> dict[str, str]:
        """With the checkout's own code first, which is compiled once as an installed one is."""
        path = os.pathsep.join([str(self.folder), str(self.folder / "tests")])
        own = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {**own, "PYTHONPATH": path, "SAFR_STUDY_HOME": home, "HF_HUB_OFFLINE": "1"}

    def seconds(self, arguments: Sequence[str], home: str, *, of_cpu: bool) -> float:
        """Time of one command to its end: of the clock, or of the processor."""
        began, used = time.perf_counter(), _cpu_of_children()
        subprocess.run(
            [sys.executable, "-m", "safr_study", *arguments],
            env=self.environment(home),
            cwd=home,
            check=True,
            capture_output=True,
        )
        return _cpu_of_children() - used if of_cpu else time.perf_counter() - began

    @contextmanager
    def stepping(self) -> Iterator[Callable[[str], float]]:
        """A process that trains and evaluates when it is asked to, and says the seconds."""
        with subprocess.Popen(
            [sys.executable, "-c", STEPS],
            env=self.environment(tempfile.gettempdir()),
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            asked, answers = process.stdin, process.stdout
            assert asked is not None
            assert answers is not None

            def ask(what: str) -> float:
                asked.write(f"{what}\n")
                asked.flush()
                return float(answers.readline())

            yield ask
            asked.close()


def _cpu_of_children() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def ratio(old: Callable[[], float], new: Callable[[], float], pairs: int) -> str:
    """Mean and interval of new / old over pairs of measurements that take turns."""
    found = []
    for pair in range(pairs):
        first, second = (old, new) if pair % 2 == 0 else (new, old)
        one, other = first(), second()
        found.append(other / one if pair % 2 == 0 else one / other)
    half = stats.t.ppf(0.975, pairs - 1) * stats.sem(found)
    mean = np.mean(found)
    return f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}], {pairs} pairs"


def training(old: Checkout, new: Checkout) -> Iterator[tuple[str, str]]:
    """Forty training steps, and the objectives of a trial on dev, SST-2."""
    with ExitStack() as stack:
        before, now = (stack.enter_context(one.stepping()) for one in (old, new))
        for what in ("training", "objectives on dev"):
            yield what, ratio(lambda: before(what), lambda: now(what), 20)  # noqa: B023


def study(old: Checkout, new: Checkout) -> Iterator[tuple[str, str]]:
    """A small study from the command line to its end."""

    def wall(checkout: Checkout) -> Callable[[], float]:
        def run() -> float:
            with tempfile.TemporaryDirectory() as home:
                return checkout.seconds(SEARCH, home, of_cpu=False)

        return run

    yield "study of 6 trials", ratio(wall(old), wall(new), 6)


def start(old: Checkout, new: Checkout) -> Iterator[tuple[str, str]]:
    """Processor time of commands that do next to nothing else than start."""
    with tempfile.TemporaryDirectory() as home:
        old.seconds(
            ("search", "--dataset", "planted", "--study", "s", "--space", "smoke", "--trials", "2"),
            home,
            of_cpu=False,
        )
        for line in ("--help", "pareto s", "search --dataset planted --study t --dry-run"):
            before, now = (
                lambda one=one, line=line: one.seconds(line.split(), home, of_cpu=True)
                for one in (old, new)
            )
            yield f"start of {line.split(' --')[0]}", ratio(before, now, 12)


PARTS = {"training": training, "study": study, "start": start}


def main() -> None:
    """Measure the parts, a line of Markdown each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("older", type=Path)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    given = parser.parse_args()
    old, new = Checkout(given.older.resolve()), Checkout(HERE)
    sys.stdout.write("| new / old | mean [95 %] |\n|---|---|\n")
    for name in given.parts or PARTS:
        for what, found in PARTS[name](old, new):
            sys.stdout.write(f"| {what} | {found} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
