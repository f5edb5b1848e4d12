from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
import stored_study
from plain_scores import plain_scores
from rich.console import Console
from synthetic_study import complete_trial, ranked_study, study_spec

from safr_study.cli.progress import Reporter
from safr_study.cluster.slots import TrialSlots
from safr_study.features.search.plan import StudyPlan
from safr_study.features.study_base.cost import Cost
from safr_study.records import (
    CheckpointRef,
    EpochReport,
    LossTerms,
    Measure,
    TrialRecord,
    TrialState,
)
from safr_study.records.warnings import needless_pair, study_warnings, trial_warnings
from safr_study.render.result_tables import result_json, result_notes

PLAN = StudyPlan(
    spec=stored_study.study_spec("s1", trials=9),
    corpus="planted",
    unknown=0.0,
    trials=9,
    done=0,
    unfinished=0,
    reference_point=(50.0, 0.0),
    slots=TrialSlots(1.0, 0.0, 2, 2.0, 0.0),
    cost=Cost(
        seconds=600.0,
        disk_bytes=14_000_000,
        parameters=1,
        memory_bytes=700_000_000,
        least_seconds=300.0,
    ),
)


def epoch(number: int, *, openness: float | None = 0.5, best: bool = True, **weights: Any) -> Any:
    return EpochReport(
        epoch=number,
        train=LossTerms(0.7, 0.7, None, None),
        dev_accuracy=80.0,
        dev_loss=0.5,
        gate_openness=openness,
        mean_norm=16.0,
        best=best,
        seconds=1.0,
        **{f"effective_{name}": value for name, value in weights.items()},
    )


def trial(*epochs: EpochReport, number: int = 0, kept: int | None = None) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=TrialState.COMPLETE,
        parameters={},
        seed=0,
        values=(80.0, 10.0),
        scores=plain_scores(),
        checkpoint=CheckpointRef("c", "ab", kept) if kept is not None else None,
        epochs=epochs,
    )


def inert(number: int, weight: float = 0.0025) -> TrialRecord:
    return trial(epoch(1, interaction=weight), epoch(2, interaction=weight / 2), number=number)


INERT = (
    "lambda_inter is inert: its gradient was 0.25 % of the cross-entropy's at most, in every "
    "epoch; take a larger lambda_inter, or interaction_scale: row in the --space."
)
CLOSED = (
    "The gates have closed: the chosen epoch keeps 3.1 % of the tokens, so that the model sees "
    "almost nothing; take smaller lambdas, vmask_beta or a smaller learning rate."
)
OPEN = (
    "The gates are wide open: every epoch keeps 99.5 % of the tokens, so that VMASK masks "
    "nothing; take a larger lambda_imp, or a vmask_beta above 0."
)


def test_nothing_wrong_nothing_said() -> None:
    sound = trial(epoch(1, importance=0.5, interaction=0.2), epoch(2, importance=3.0))
    assert trial_warnings(sound) == ()
    assert trial_warnings(trial()) == ()
    assert trial_warnings(replace(trial(), scores=None, state=TrialState.WAITING)) == ()
    # The ledger of an earlier version, and a baseline: nothing was measured.
    assert trial_warnings(trial(epoch(1), epoch(2))) == ()
    assert trial_warnings(trial(epoch(1, openness=None), epoch(2, openness=None))) == ()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([0.0025, 0.0001], True),
        ([0.0025, 0.01], False),
        ([0.0025, None], False),
        ([0.0, 0.0], True),
    ],
)
def test_a_penalty_is_inert_if_it_was_small_in_every_epoch(
    weights: list[float | None], said: bool
) -> None:
    seen = trial(*(epoch(n, interaction=weight) for n, weight in enumerate(weights, start=1)))
    found = trial_warnings(seen)
    assert len(found) == said
    if weights[0]:
        assert found == ((INERT,) if said else ())
    elif said:
        assert "its gradient was 0 % of" in found[0]


def test_each_penalty_is_named() -> None:
    weights = {"importance": 1e-3, "interaction": 1e-7, "information": 2e-3}
    found = trial_warnings(trial(epoch(1, **weights)))
    assert [sentence.split(":")[0] for sentence in found] == [
        "lambda_imp is inert",
        "lambda_inter is inert",
        "vmask_beta is inert",
    ]
    assert "its gradient was under 0.001 % of the cross-entropy's at most" in found[1]


def test_the_gates_are_judged_in_the_state_that_is_kept() -> None:
    closing = (epoch(1, openness=0.4), epoch(2, openness=0.031), epoch(3, openness=0.2, best=False))
    assert trial_warnings(trial(*closing)) == (CLOSED,)
    assert trial_warnings(trial(*closing, kept=2)) == (CLOSED,)
    # The reference preset keeps the last epoch, whichever is the best.
    assert trial_warnings(trial(*closing, kept=3)) == ()
    assert trial_warnings(trial(*closing, kept=1)) == ()
    assert trial_warnings(trial(epoch(1, openness=0.05))) == ()


def test_closed_gates_are_no_sign_of_a_small_lambda_imp() -> None:
    """Nothing passes, so that the importance loss is 0 and its gradient too."""
    closed = trial(epoch(1, openness=0.031, importance=0.0, interaction=0.0025))
    assert trial_warnings(closed) == (INERT, CLOSED)
    half = trial(epoch(1, openness=0.5, importance=0.0))
    assert len(trial_warnings(half)) == 1


def test_wide_open_means_in_every_epoch() -> None:
    assert trial_warnings(trial(epoch(1, openness=0.995), epoch(2, openness=0.999))) == (OPEN,)
    assert trial_warnings(trial(epoch(1, openness=0.99), epoch(2, openness=0.999))) == ()


def test_saturation_is_that_of_the_scores() -> None:
    collapsed = replace(trial(epoch(1)), scores=plain_scores(saturated=True))
    (sentence,) = trial_warnings(collapsed)
    assert sentence.startswith("Saturated: on the deleted texts 99 % of the predictions are one")
    assert trial_warnings(replace(collapsed, scores=plain_scores())) == ()


def test_many_trials_have_one_sentence_for_each_kind() -> None:
    trials = [
        inert(7),
        trial(epoch(1), number=1),
        inert(2, 0.004),
        trial(epoch(1, openness=0.031, interaction=0.009), number=3),
        trial(epoch(1, openness=0.002), number=5),
    ]
    assert study_warnings(trials) == (
        INERT.replace("inert:", "inert (trials 2, 3, 7):").replace("0.25 %", "0.9 %"),
        CLOSED.replace("closed:", "closed (trials 3, 5):").replace("3.1 %", "0.2 % to 3.1 %"),
    )
    assert study_warnings([trials[1]]) == study_warnings([]) == ()
    (one,) = study_warnings([inert(7)])
    assert one == INERT.replace("inert:", "inert (trial 7):")
    (many,) = study_warnings(inert(number) for number in range(20))
    assert "(trials 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more)" in many


def test_results_show_them_grouped_and_json_for_each_trial() -> None:
    weak = [replace(complete_trial(n, 80.0, 10.0), epochs=inert(n).epochs) for n in (0, 2)]
    collapsed = complete_trial(1, 70.0, 30.0, saturated=True)
    result = ranked_study(study_spec(), [weak, [collapsed]], knee=0)
    lines = result_notes(result)
    assert [line for line in lines if "inert" in line] == [
        INERT.replace("inert:", "inert (trials 0, 2):")
    ]
    assert [line for line in lines if "aturated" in line] == [
        study_warnings([collapsed])[0],
    ]
    document = json.loads(json.dumps(result_json(result), allow_nan=False))
    assert {row["trial"]: row["warnings"] for row in document["trials"]} == {
        0: [INERT],
        2: [INERT],
        1: list(trial_warnings(collapsed)),
    }


@pytest.mark.parametrize("live", [False, True])
def test_progress_shows_a_warning_once_a_trial_has_ended(live: bool) -> None:
    def shown(until: int) -> str:
        stream = io.StringIO()
        console = Console(file=stream, width=300, no_color=True, force_terminal=False)
        running = replace(inert(0), state=TrialState.RUNNING, values=None, scores=None)
        with Reporter(console, live=live) as progress:
            progress.planned(PLAN, [])
            progress.trial_started(replace(running, epochs=()))
            progress.epoch_ended(running, running.epochs[0])
            for number in range(until):
                progress.trial_ended(inert(number))
        return stream.getvalue()

    assert "inert" not in shown(0)
    text = shown(2)
    if not live:
        assert text.count(f"  warning: {INERT}\n") == 2
    else:
        assert text.count(INERT.replace("inert:", "inert (trials 0, 1):")) == 1


@pytest.mark.parametrize(("alone", "said"), [(79.0, True), (81.0, True), (60.0, False)])
def test_a_pair_whose_second_text_is_enough_is_told(alone: float, said: bool) -> None:
    def of(number: int, accuracy: float, **parameters: Any) -> TrialRecord:
        scores = plain_scores()
        values = {**scores.values, "accuracy": Measure(accuracy, 2.0)}
        made = replace(trial(number=number), parameters=parameters)
        return replace(made, scores=replace(scores, values=values))

    both = [of(0, 80.0, vmask=False), of(1, 70.0, vmask=True)]
    found = needless_pair([*both, of(2, alone, texts="second", vmask=False)])
    assert bool(found) == said
    if said:
        assert f"the second alone (trial 2) has an accuracy of {alone:.2f}" in found[0]
        assert "the best of both 80.00 (trial 0), within the noise" in found[0]
        assert "of these texts (5.54)" in found[0]
    assert needless_pair(both) == ()
