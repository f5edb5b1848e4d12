from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from plain_scores import a_deletion, made_scores

from safr_study.features.study_base.results import write_files
from safr_study.pareto import rank_study
from safr_study.records import (
    CheckpointRef,
    EpochReport,
    LossTerms,
    StudyResult,
    TrialRecord,
    TrialState,
)
from safr_study.render.result_tables import infeasible_lines, result_json, result_table

EPOCH = EpochReport(
    epoch=1,
    train=LossTerms(total=0.7, cross_entropy=0.7, importance=None, interaction=None),
    dev_accuracy=80.0,
    dev_loss=0.5,
    gate_openness=None,
    mean_norm=16.0,
    best=True,
    seconds=2.0,
)


def trial(number: int, accuracy: float, srs: float, **changes: Any) -> TrialRecord:
    deletion = a_deletion(
        k=0.3,
        realised_share=0.31,
        accuracy_top=accuracy - srs,
        srs=srs,
        srs_se=1.0,
        dominant_share=0.97 if number == 2 else 0.6,
        saturated=number == 2,
    )
    scores = made_scores(
        split="dev",
        examples=872,
        accuracy=accuracy,
        accuracy_se=1.3,
        majority_accuracy=50.9,
        loss=0.45,
        deletions=(deletion,),
    )
    settings: dict[str, Any] = {
        "number": number,
        "state": TrialState.COMPLETE,
        "parameters": {"lambda_imp": 0.1, "lambda_inter": 0.0, "heads": 8},
        "seed": 7,
        "values": (accuracy, srs),
        "scores": scores,
        "checkpoint": CheckpointRef(uri=f"/home/c/{number}", sha256="ab", epoch=1),
        "epochs": (EPOCH, EPOCH),
        "seconds": 12.5,
        "device": "cpu",
        "run_id": f"run{number}",
    }
    return TrialRecord(**{**settings, **changes})


@pytest.fixture
def result() -> StudyResult:
    trials = [
        trial(
            0,
            81.25,
            5.5,
            baseline="no-vmask",
            parameters={"lambda_imp": None, "lambda_inter": None, "vmask": False},
        ),
        trial(1, 80.0, 1 / 3 + 12),
        trial(2, 60.0, 20.0),
        trial(3, 79.0, 12.0, parameters={"lambda_imp": 1e-4, "lambda_inter": 0.25, "heads": 4}),
        TrialRecord(
            number=4,
            state=TrialState.FAILED,
            parameters={"lambda_imp": 3.0},
            seed=7,
            failure="the loss is not a finite number",
            run_id="run4",
        ),
        trial(5, 78.0, 13.0),
    ]
    return rank_study("s1", "sst2", ["accuracy", "srs@30"], [50.0, 0.0], trials, asked=6)


def test_table_has_its_columns_in_order_and_a_row_per_complete_trial(result) -> None:
    table = result_table(result)
    assert list(table.columns) == [
        *("front", "trial", "label"),
        *("lambda_imp", "lambda_inter", "vmask", "heads"),
        *("accuracy", "srs_30"),
        *("saturated", "knee", "compromise", "baseline", "epochs", "seconds", "run_id", "crowding"),
    ]
    assert table["trial"].tolist() == [0, 1, 5, 2, 3]
    assert table["front"].tolist() == [0, 0, 0, 0, 1]
    assert table["knee"].tolist() == [False, True, False, False, False]
    assert table["saturated"].tolist() == [False, False, False, True, False]
    assert table["srs_30"].tolist() == [5.5, 1 / 3 + 12, 13.0, 20.0, 12.0]
    assert table["epochs"].tolist() == [2] * 5
    assert table["label"].tolist()[:2] == ["no-vmask", "imp=0.1 inter=0 heads=8"]


def test_csv_keeps_zeros_gaps_whole_numbers_and_every_digit(result, tmp_path: Path) -> None:
    path = tmp_path / "front.csv"
    write_files(tmp_path, {path.name: result_table(result)})
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["lambda_imp"] for row in rows] == ["", "0.1", "0.1", "0.1", "0.0001"]
    assert [row["lambda_inter"] for row in rows] == ["", "0.0", "0.0", "0.0", "0.25"]
    assert [row["heads"] for row in rows] == ["", "8", "8", "8", "4"]
    assert [row["baseline"] for row in rows] == ["no-vmask", "", "", "", ""]
    assert float(rows[1]["srs_30"]) == 1 / 3 + 12
    assert math.isinf(float(rows[0]["crowding"]))
    again = pd.read_csv(path)
    assert again["accuracy"].tolist() == result_table(result)["accuracy"].tolist()


def test_an_empty_result_gives_a_table_with_columns_and_no_rows(tmp_path: Path) -> None:
    empty = rank_study("s1", "sst2", ["accuracy", "srs@30"], [50.0, 0.0], [], asked=5)
    assert len(result_table(empty)) == 0
    write_files(tmp_path, {"front.csv": result_table(empty)})
    header = (tmp_path / "front.csv").read_text(encoding="utf-8").strip()
    assert header.startswith("front,trial,label,accuracy,srs_30,")
    assert result_json(empty)["trials"] == []


def test_json_is_plain_and_complete(result) -> None:
    plain = json.loads(json.dumps(result_json(result), allow_nan=False))
    assert plain["study"] == "s1"
    assert plain["dataset"] == "sst2"
    assert plain["objectives"] == ["accuracy", "srs@30"]
    assert plain["reference_point"] == {"accuracy": 50.0, "srs@30": 0.0}
    assert plain["hypervolume"] == pytest.approx(result.hypervolume)
    assert (plain["asked"], plain["complete"]) == (6, 5)
    assert plain["front"] == [0, 1, 5, 2]
    assert (plain["knee"], plain["compromise"]) == (1, None)
    assert (plain["unbeaten"], plain["verdict"]) == (None, None)
    best = plain["trials"][1]
    assert best["values"] == {"accuracy": 80.0, "srs@30": 1 / 3 + 12}
    assert best["parameters"] == {"lambda_imp": 0.1, "lambda_inter": 0.0, "heads": 8}
    assert (best["trial"], best["front"], best["on_front"], best["knee"]) == (1, 0, True, True)
    assert (best["run_id"], best["epochs"], best["state"]) == ("run1", 2, "complete")
    assert best["checkpoint"] == {"uri": "/home/c/1", "sha256": "ab", "epoch": 1}
    assert best["scores"]["deletions"][0]["srs_se"] == 1.0
    assert [row["saturated"] for row in plain["trials"]] == [False] * 3 + [True, False]
    assert plain["trials"][0]["parameters"]["lambda_imp"] is None


def test_infinite_crowding_is_null_in_json(result) -> None:
    crowding = [row["crowding"] for row in result_json(result)["trials"]]
    assert [value is None for value in crowding] == [True, False, False, True, True]
    assert crowding[1] == result.ranked[1].crowding == pytest.approx(3.25 / 21.25 + 7.5 / 14.5)


def test_failed_trials_are_listed_with_their_sentence(result) -> None:
    [failed] = result_json(result)["unranked"]
    assert failed["trial"] == 4
    assert failed["state"] == "failed"
    assert failed["failure"] == "the loss is not a finite number"
    assert failed["run_id"] == "run4"
    assert (failed["values"], failed["violations"]) == (None, {})


def bounded(*infeasible: TrialRecord) -> StudyResult:
    kept = trial(0, 80.0, 12.0, violations=(-20.0, -0.5))
    return rank_study(
        "s1",
        "sst2",
        ["accuracy", "srs@30"],
        [50.0, 0.0],
        [kept, *infeasible],
        asked=24,
        constraints=["accuracy >= majority + 5", "gate_openness <= 0.9"],
    )


def test_what_misses_a_constraint_is_said_with_which_one_and_by_how_much() -> None:
    found = bounded(
        trial(1, 53.6, 30.0, violations=(2.3125, -0.25)),
        trial(2, 51.0, 30.0, violations=(5.0, 0.05)),
        trial(3, 0.0, 0.0, state=TrialState.FAILED, values=None, violations=()),
    )
    assert infeasible_lines(found) == [
        "Trial 1 (imp=0.1 inter=0 heads=8) is not ranked: it misses accuracy >= majority + 5 by "
        "2.31 percentage points.",
        "Trial 2 (imp=0.1 inter=0 heads=8) is not ranked: it misses accuracy >= majority + 5 by "
        "5 percentage points and misses gate_openness <= 0.9 by 0.05.",
    ]
    assert infeasible_lines(bounded()) == []
    assert result_table(found)["trial"].tolist() == [0]


def test_many_that_miss_a_constraint_are_counted() -> None:
    many = [trial(n, 50.0, 30.0, violations=(1.0, 1.0)) for n in range(1, 15)]
    lines = infeasible_lines(bounded(*many))
    assert len(lines) == 11
    assert lines[-1] == "4 more trials are not ranked, as they miss a constraint."


def test_json_has_the_constraints_and_counts_what_is_complete() -> None:
    plain = result_json(bounded(trial(1, 53.6, 30.0, violations=(2.5, -0.25))))
    json.dumps(plain, allow_nan=False)
    assert plain["constraints"] == ["accuracy >= majority + 5", "gate_openness <= 0.9"]
    assert plain["complete"] == 2
    assert [row["trial"] for row in plain["trials"]] == [0]
    assert plain["trials"][0]["violations"] == {
        "accuracy >= majority + 5": -20.0,
        "gate_openness <= 0.9": -0.5,
    }
    [left] = plain["unranked"]
    assert (left["trial"], left["state"]) == (1, "complete")
    assert left["values"] == {"accuracy": 53.6, "srs@30": 30.0}
    assert left["violations"]["accuracy >= majority + 5"] == 2.5
