"""What a trial writes to the ledger: commits and seconds, for the arithmetic of large clusters.

    PYTHONPATH=tests python -m benchmarks.ledger_writes --storage postgresql+psycopg://USER@HOST/NAME

Give it a database of its own, or none for a journal file. No model is trained: the records are made
up, the writes are those of a study.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import optuna
from sqlalchemy import event
from stored_study import ask, begin, complete, epoch, study_spec

from safr_study.home import open_home


def measure(storage_url: str | None, trials: int, epochs: int) -> dict[str, float]:
    """Commits (journal: lines) and milliseconds of a trial's begin and end, and of an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        home = open_home(Path(folder))
        spec = study_spec("writes", trials=trials, sampler="random")
        ledger = begin(home, spec, storage_url)
        count = _Counter(ledger.storage, home.ledger("writes"))
        spent = {"trial": 0.0, "epoch": 0.0}
        wrote = {"trial": 0, "epoch": 0}
        for number in range(trials):
            for part in ("begin", *range(1, epochs + 1), "end"):
                kind = "trial" if isinstance(part, str) else "epoch"
                before, began = count(), time.perf_counter()
                if part == "begin":
                    ask(ledger)
                elif part == "end":
                    complete(ledger, number, (60.0 + number, 5.0))
                else:
                    ledger.record_epoch(number, epoch(int(part)))
                spent[kind] += time.perf_counter() - began
                wrote[kind] += count() - before
    times = {"trial": trials, "epoch": trials * epochs}
    return {
        f"{what} per {kind}": round(scale * values[kind] / times[kind], 2)
        for kind in ("trial", "epoch")
        for what, values, scale in (("writes", wrote, 1), ("ms", spent, 1000))
    }


class _Counter:
    def __init__(self, storage: optuna.storages.BaseStorage, journal: Path) -> None:
        self._journal, self._commits = journal, 0
        self._engine = getattr(getattr(storage, "_backend", storage), "engine", None)
        if self._engine is not None:
            event.listen(self._engine, "commit", self._committed)

    def _committed(self, _connection: object) -> None:
        self._commits += 1

    def __call__(self) -> int:
        if self._engine is not None:
            return self._commits
        return self._journal.read_bytes().count(b"\n")


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    for name, value in measure(given.storage, given.trials, given.epochs).items():
        sys.stdout.write(f"{name}: {value:g}\n")


if __name__ == "__main__":
    main()
