"""Where Ray Tune asks whether a trial goes on: the answer is the searcher's, from the ledger.

Ray has no scheduler for several objectives, and refuses one whose metric is a list. This one names
none; it is asked before the searcher sees a result, and only here can a trial be stopped.
"""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from safr_study.runner.search_source import LedgerSearcher


class LedgerScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """Stops the trials that the searcher's MO-ASHA stops."""

    def __init__(self, searcher: LedgerSearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(
        self,
        tune_controller: Any,  # noqa: ARG002
        trial: Trial,
        result: dict[str, Any],
    ) -> str:
        """Stop or go on, after each event of a trial."""
        stopped = self._searcher.stops(trial.trial_id, result)
        return str(self.STOP if stopped else self.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        # Pickled with the Tuner and never read back, like the searcher.
        return {}
