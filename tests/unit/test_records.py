from __future__ import annotations

import json

import pytest
from plain_scores import a_deletion, made_scores

from safr_study.records import (
    EpochReport,
    LossTerms,
    Scores,
    TrialRecord,
    TrialState,
    from_plain,
    to_plain,
)

SCORES = made_scores(
    split="dev",
    examples=10,
    accuracy=70.0,
    accuracy_se=1.0,
    majority_accuracy=50.0,
    loss=0.5,
    deletions=(
        a_deletion(0.1, 0.11, 60.0, 10.0, 1.0),
        a_deletion(0.3, 0.29, 50.0, 20.0, 1.0, 65.0, 15.0, 2.0, 0.97),
    ),
)


def test_scores_survive_json() -> None:
    assert Scores.from_plain(json.loads(json.dumps(to_plain(SCORES)))) == SCORES


def test_epochs_survive_json() -> None:
    report = EpochReport(3, LossTerms(1.0, 0.9, None, 0.1), 70.0, 0.5, None, 16.0, False, 1.5)
    assert from_plain(EpochReport, json.loads(json.dumps(to_plain(report)))) == report


def test_a_value_is_found_by_its_metrics_name() -> None:
    assert SCORES.value("srs@30") == 20.0
    assert SCORES.values["srs@30"].se == 1.0
    assert SCORES.value("contrast@30") is None
    with pytest.raises(KeyError):
        SCORES.value("srs@20")


@pytest.mark.parametrize("missing", ["accuracy", "accuracy_se", "loss", "split"])
def test_scores_without_a_number_are_no_scores(missing: str) -> None:
    plain = to_plain(SCORES)
    del plain[missing]
    with pytest.raises(TypeError, match=missing):
        Scores.from_plain(plain)
    broken = to_plain(SCORES)
    broken["deletions"][0]["srs"] = "high"
    with pytest.raises(TypeError, match="no number"):
        Scores.from_plain(broken)


def test_any_saturated_deletion_marks_the_scores() -> None:
    assert SCORES.saturated


@pytest.mark.parametrize(
    ("parameters", "baseline", "label"),
    [
        ({"vmask": False, "lambda_imp": None}, "no-vmask", "no-vmask"),
        ({"vmask": True, "lambda_imp": 0.01234, "lambda_inter": 0.0}, None, "imp=0.0123 inter=0"),
        ({"vmask": False, "layers": 2, "mask_hidden_dim": 9}, None, "vmask=False layers=2"),
        ({"vmask": True}, None, "defaults"),
        (
            {"vmask": False, "lambda_l1": 0.5, "lambda_ortho": 0.0, "ffn_topk": 0.2},
            None,
            "vmask=False l1=0.5 ffn_topk=0.2",
        ),
        ({"lambda_l1": 0.0, "lambda_ortho": 10.0, "ffn_topk": 1.0}, None, "ortho=10"),
    ],
)
def test_a_trials_label_says_its_setting(
    parameters: dict[str, float | None], baseline: str | None, label: str
) -> None:
    trial = TrialRecord(0, TrialState.COMPLETE, parameters, seed=0, baseline=baseline)
    assert trial.label == label
