from __future__ import annotations

from dataclasses import replace

from synthetic_study import complete_trial, ranked_study, study_spec, trial

from safr_study.records import TrialState
from safr_study.render.history import study_log


def test_the_log_tells_every_trial_in_the_order_of_their_ends() -> None:
    late = replace(complete_trial(0, 80.0, 10.0), ended=1_700_000_020.0)
    early = replace(complete_trial(1, 70.0, 5.0), ended=1_700_000_010.0)
    failed = replace(
        trial(2, state=TrialState.FAILED, failure="the loss is not finite"), ended=1_700_000_015.0
    )
    stopped = replace(trial(3, state=TrialState.PRUNED, epochs=2), ended=1_700_000_030.0)
    result = ranked_study(
        study_spec(), [[late], [early]], knee=0, unranked=(failed, stopped, trial(4))
    )
    log = study_log(result, command="safr-study search --study s1", began=1_700_000_000.0)
    lines = log.splitlines()
    assert lines[1:3] == [
        "$ safr-study search --study s1",
        "2023-11-14T22:13:20Z the first trial begins",
    ]
    events = [line for line in lines[1:] if " trial " in line and "begins" not in line]
    assert [line.split(" (")[0] for line in events] == [
        "2023-11-14T22:13:30Z trial 1",
        "2023-11-14T22:13:35Z trial 2",
        "2023-11-14T22:13:40Z trial 0",
        "2023-11-14T22:13:50Z trial 3",
        "-------------------- trial 4",
    ]
    assert "is complete: accuracy 70.00, SRS(30) 5.00, 2 epochs" in events[0]
    assert events[0].endswith("hypervolume 100 (+100)")
    assert "failed: the loss is not finite" in events[1]
    assert events[2].endswith("hypervolume 300 (+200)")
    assert "was stopped early" in events[3]
    assert events[4].endswith("is running")
