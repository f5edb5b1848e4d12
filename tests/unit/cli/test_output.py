from __future__ import annotations

import pytest
from plain_scores import plain_scores

from safr_study.cli import output
from safr_study.pareto import rank_study
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.render.result_tables import ranking_table, result_notes


def study(*constraints: str) -> StudyResult:
    trials = [
        TrialRecord(
            number=number,
            state=TrialState.COMPLETE,
            parameters={"lambda_imp": 0.5},
            seed=0,
            values=values,
            scores=plain_scores(),
            violations=violations[: len(constraints)],
        )
        for number, values, violations in (
            (0, (80.0, 5.0), (-25.0,)),
            (1, (52.0, 9.0), (3.0,)),
        )
    ]
    return rank_study(
        "s", "sst2", ["accuracy", "srs@30"], [50.0, 0.0], trials, 24, constraints=constraints
    )


def shown(result: StudyResult, capsys: pytest.CaptureFixture[str]) -> str:
    output.show(ranking_table(result))
    return " ".join(capsys.readouterr().out.split())


def test_a_ranking_counts_what_is_complete_and_what_keeps_every_constraint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = shown(study(), capsys)
    assert "2 of 24 trials complete, 2 on the front" in plain
    bounded = shown(study("accuracy >= majority + 5"), capsys)
    assert "2 of 24 trials complete (1 feasible), 1 on the front" in bounded
    assert "52.00" in plain
    assert "52.00" not in bounded


def test_the_lines_under_it_say_who_is_left_out() -> None:
    sentence = (
        "Trial 1 (imp=0.5) is not ranked: it misses accuracy >= majority + 5 by "
        "3 percentage points."
    )
    assert sentence in result_notes(study("accuracy >= majority + 5"))
    assert not any("not ranked" in line for line in result_notes(study()))
