"""Record the home ``draws`` anew: synthetic studies of each sampler, without any training."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from reported_study import confirm_front, varied_study
from stored_study import begin, complete, epoch, stop_early, study_spec

from nets.draws import ASKS, SAMPLERS
from nets.old_home import packed
from safr_study.home import open_home
from safr_study.settings import SearchSpace

SPACE = {
    "name": "draws",
    "parameters": {
        "lambda_imp": {
            "type": "float",
            "low": 0.01,
            "high": 10,
            "log": True,
            "zero": 0.25,
            "grid": [0, 0.01, 0.1, 1],
        },
        "lambda_inter": {
            "type": "float",
            "low": 0.001,
            "high": 1,
            "log": True,
            "zero": 0.2,
            "grid": [0, 0.1, 1],
        },
        "layers": {"type": "int", "low": 1, "high": 2},
        "dropout": {
            "type": "float",
            "low": 0.0,
            "high": 0.5,
            "when": {"layers": 2},
            "grid": [0.1, 0.3],
        },
        "interference": {"type": "categorical", "choices": ["dot", "squared"]},
    },
}


def make_draws() -> None:
    """Record them."""
    with tempfile.TemporaryDirectory() as folder:
        home = open_home(Path(folder) / "draws")
        for sampler in SAMPLERS:
            spec = study_spec(
                sampler, sampler=sampler, seed=11, trials=ASKS, space=SearchSpace.parse(SPACE)
            )
            ledger = begin(home, spec)
            for number in range(ASKS):
                trial = ledger.ask(spec)
                assert trial is not None
                assert trial.number == number
                ledger.record_epoch(number, epoch(1))
                if number % 8 == 5:
                    ledger.record_epoch(number, epoch(2))
                    stop_early(ledger, number)
                elif number % 8 == 7:
                    ledger.fail(number, "the loss is no number")
                else:
                    complete(ledger, number, _values(dict(trial.parameters)))
        # Trials of every state, saturated ones, and a confirmation.
        confirm_front(varied_study(home, "varied"))
        packed(home.root, "draws", {})


def _values(parameters: dict[str, object]) -> tuple[float, float]:
    """Accuracy falls and SRS rises with both weights; smooth, with a value for every setting."""
    imp, inter = (
        math.log10(max(float(str(parameters.get(name) or 0.0)), 1e-5)) + 5
        for name in ("lambda_imp", "lambda_inter")
    )
    other = float(str(parameters.get("dropout") or 0.1)) + float(str(parameters["layers"])) / 10
    other += 0.5 * (parameters["interference"] == "dot")
    return 80 - imp**2 / 4 - inter / 3 - other, 2 * imp + inter + other
