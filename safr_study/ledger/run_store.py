"""What the ledger keeps of a confirmation.

Attributes of the Optuna study, each plain JSON with its schema:

- ``confirm:TRIAL:SEED``: a finished or failed run without the test set, a `RunResult`;
- ``confirm-test:TRIAL:SEED``: what that model was measured to be on test;
- ``confirm-read:NUMBER``: a `ReadingOfTest`, written before the test set is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from safr_study.errors import BadInput
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import home_of
from safr_study.records import from_plain, to_plain
from safr_study.records.run import Measured, ReadingOfTest, RunKey, RunResult, run_to_plain

SCHEMA_VERSION = 1
"""Schema of what the ledger keeps of a run; raise it when a field changes."""
_RUN = "confirm:"
_TEST = "confirm-test:"
_READ = "confirm-read:"


def confirmed_runs(ledger: Ledger) -> dict[RunKey, RunResult]:
    """All runs of all confirmations of this study, with their test results.

    Raises:
        BadInput: one was written by another version.
    """
    attrs, home = ledger.study.user_attrs, home_of(ledger.storage)
    found = {}
    for name, plain in attrs.items():
        if name.startswith(_RUN):
            run = from_plain(RunResult, _checked(name, plain))
            if run.checkpoint is not None and home is not None:
                place = home.checkpoint(ledger.uid, run.checkpoint.uri)
                run = replace(run, checkpoint=replace(run.checkpoint, uri=place))
            on_test = f"{_TEST}{run.trial}:{run.seed}"
            if on_test in attrs:
                test = _checked(on_test, attrs[on_test])
                at = test.pop("at")
                run = replace(run, test=from_plain(Measured, test), test_read=at)
            found[run.key] = run
    return found


def confirmed_seeds(ledger: Ledger) -> tuple[int, ...]:
    """Seeds under which a confirmation has measured trials of this study, ascending."""
    attrs = ledger.study.user_attrs.items()
    found = {
        int(name.rpartition(":")[2])
        for name, plain in attrs
        if name.startswith(_RUN) and plain.get("dev") is not None
    }
    return tuple(sorted(found))


def record_run(ledger: Ledger, run: RunResult) -> None:
    """Write a run that has ended; one that failed before is replaced."""
    bare = run_to_plain(replace(run, test=None, test_read=None))
    ledger.study.set_user_attr(f"{_RUN}{run.trial}:{run.seed}", _stamped(bare))


def record_test(ledger: Ledger, key: RunKey, measured: Measured, at: str) -> None:
    """Write what a run's model was measured to be on test."""
    plain = {**_stamped(measured), "at": at}
    ledger.study.set_user_attr(f"{_TEST}{key[0]}:{key[1]}", plain)


def record_reading(
    ledger: Ledger, runs: Sequence[RunKey], chosen: Mapping[str, int], at: str
) -> ReadingOfTest:
    """Write that the test set is about to be read, and what was chosen by then."""
    reading = ReadingOfTest(at, tuple(runs), dict(chosen))
    number = len(readings_of_test(ledger))
    ledger.study.set_user_attr(f"{_READ}{number:04d}", _stamped(reading))
    return reading


def readings_of_test(ledger: Ledger) -> tuple[ReadingOfTest, ...]:
    """Every time that the test set was read for this study, in order."""
    attrs = ledger.study.user_attrs
    names = sorted(name for name in attrs if name.startswith(_READ))
    return tuple(from_plain(ReadingOfTest, _checked(name, attrs[name])) for name in names)


def _stamped(record: Any) -> dict[str, Any]:
    return {"schema": SCHEMA_VERSION, **to_plain(record)}


def _checked(name: str, plain: Mapping[str, Any]) -> dict[str, Any]:
    if plain.get("schema") != SCHEMA_VERSION:
        raise BadInput(
            "study",
            f"its ledger's {name} has schema {plain.get('schema')}, this version reads "
            f"{SCHEMA_VERSION}; use the version of safr-study that wrote it",
        )
    return {key: value for key, value in plain.items() if key != "schema"}
