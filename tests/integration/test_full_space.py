"""A study over the space ``full``: conditional parameters and a constraint, trained and resumed."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from commands import command_line, environment, safr

from safr_study.features.study_base.results import load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home
from safr_study.records import TrialState
from safr_study.settings import SWITCH_SUFFIX

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
TRIALS = 12
COMMAND = [
    *("search", "--dataset", "planted:redundant", "--study", "f", "--space", "full"),
    *("--trials", str(TRIALS), "--epochs", "2", "--train-limit", "250", "--dev-limit", "300"),
    *("--seed", "0", "--scheduler", "none", "--max-concurrent", "2"),
]
ONLY_WITH_VMASK = {"lambda_imp", "lambda_inter", "mask_hidden_dim", "gumbel_temperature"}


def test_it_runs_resumes_and_ranks_feasible_trials_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said: list[str] = []
    with subprocess.Popen(
        command_line(*COMMAND),
        env=environment(home),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("trial 4 "):
                process.send_signal(signal.SIGINT)
            said.append(line)
    assert process.returncode == 130, said
    stores = Stores(open_home(home))
    begun = {t.number: t for t in load_ledger("f", stores).trials() if t.values is not None}
    assert 1 <= len(begun) < TRIALS

    resumed = safr(home, *COMMAND, timeout=1500)
    assert resumed.code == 0, resumed.err
    ledger = load_ledger("f", stores)
    trials = ledger.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert all(trials[number] == trial for number, trial in begun.items())
    sampled = ledger.study.get_trials(deepcopy=False)
    drawn = [trial for trial in trials if trial.baseline is None]
    for trial in drawn:
        asked = {name.removesuffix(SWITCH_SUFFIX) for name in sampled[trial.number].params}
        vmask = trial.parameters["vmask"]
        assert asked & ONLY_WITH_VMASK == (ONLY_WITH_VMASK if vmask else set())
        assert all(
            (trial.parameters[name] is not None) is vmask for name in ("lambda_imp", "lambda_inter")
        )
    assert {trial.parameters["vmask"] for trial in drawn} == {True, False}

    # The constraint: at least 5 points better than always saying the larger class.
    shown = safr(home, "pareto", "f", "--json").json
    ranked = {one["trial"] for one in shown["trials"]}
    feasible = set()
    for trial in trials:
        assert trial.scores is not None
        if trial.scores.accuracy >= trial.scores.values["majority_accuracy"].value + 5:
            feasible.add(trial.number)
    assert ranked == feasible
    assert 0 < len(feasible) < TRIALS
    assert {one["trial"] for one in shown["unranked"]} == set(range(TRIALS)) - feasible
    versions = safr(home, "models", "--json").json["models"]
    assert {int(one["tags"]["trial"]) for one in versions} <= feasible
