"""What each sampler draws next on recorded ledgers: the one place that knows how a ledger asks.

The home ``draws`` has a study of each sampler with `ASKS` trials: complete, pruned and failed ones,
one after another. The journal up to trial k is the ledger as it was when trial k was asked for, so
that no ask hangs on the draws of another. What was drawn then is in the rest of the journal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DRAWS = Path(__file__).parent / "frozen" / "draws.json"
ASKS = 40
SAMPLERS = ("tpe", "nsga2", "gp", "qmc", "random", "grid")
_CREATE_TRIAL = 4
"""Optuna's code of the operation in a journal."""


def ask(home: Path, study: str) -> dict[str, Any]:
    """The parameters of the next trial of a study."""
    from safr_study.home import open_home
    from safr_study.ledger.ledger import Ledger
    from safr_study.ledger.storage import open_storage

    storage = open_storage(open_home(home), None, study, create=True)
    assert storage is not None
    ledger = Ledger.load(storage, study)
    assert ledger is not None
    trial = ledger.ask(ledger.spec)
    assert trial is not None
    return {**trial.parameters, "baseline": trial.baseline, "seed": trial.seed}


def cut(journal: Path, number: int, home: Path) -> Path:
    """A home with the ledger as it was before a trial was asked for."""
    lines = journal.read_bytes().splitlines(keepends=True)
    begun = [i for i, line in enumerate(lines) if json.loads(line)["op_code"] == _CREATE_TRIAL]
    assert len(begun) == ASKS
    path = home / "ledgers" / journal.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines[: begun[number]]))
    return home


def next_draws(
    recorded: Path, sampler: str, folder: Path, asks: range = range(ASKS)
) -> list[dict[str, Any]]:
    """What asks of a recorded study give.

    Args:
        recorded: the unpacked home ``draws``.
        sampler: name of the sampler, and of its study.
        folder: an empty one, for the ledgers that are cut.
        asks: numbers of the trials that are asked for.
    """
    journal = recorded / "ledgers" / f"{sampler}.journal"
    return [ask(cut(journal, number, folder / f"{sampler}-{number}"), sampler) for number in asks]
