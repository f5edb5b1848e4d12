"""Quality of the classes beyond accuracy, against sums by hand, plain formulas and scikit-learn."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_scores import plain_scores
from sklearn import metrics

from safr_study.evaluation.classification import (
    calibration_error,
    class_measures,
    group_consistency,
)
from safr_study.records import Scores
from safr_study.records.metric_values import measured_metrics
from safr_study.render.class_tables import quality_table
from safr_study.settings import OF_MODEL, Objective
from safr_study.settings.metrics import OF_CLASSES

# Six texts, three classes; predicted 0, 0, 1, 1, 1, 0.
P = np.array(
    [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.7, 0.1], [0.05, 0.9, 0.05],
     [0.4, 0.35, 0.25]]
)  # fmt: skip
LABELS = np.array([0, 0, 0, 1, 1, 2])


def values(p: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {name: one.value for name, one in class_measures(np.log(p), labels)[0].items()}


def test_a_case_worked_out_by_hand() -> None:
    found, confusion = class_measures(np.log(P), LABELS)
    assert confusion == ((2, 1, 0), (0, 2, 0), (1, 0, 0))
    # F1: 2·2/(3+3), 2·2/(3+2), 0; recalls 2/3, 1, 0.
    assert found["macro_f1"].value == pytest.approx(100 * (2 / 3 + 4 / 5 + 0) / 3)
    assert found["balanced_accuracy"].value == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)
    assert found["balanced_accuracy"].se == pytest.approx(100 * math.sqrt(2 / 9 / 3) / 3)
    assert found["macro_f1"].se is None
    assert found["ece"].se is None
    # Each text is alone in its bin: .8, .5, .6, .7, .9 and .4 lie apart by more than 1/15.
    gaps = [1 - 0.8, 1 - 0.5, 0.6, 1 - 0.7, 1 - 0.9, 0.4]
    assert found["ece"].value == pytest.approx(100 * np.mean(gaps))
    squares = [0.06, 0.38, 0.81 + 0.36 + 0.09, 0.14, 0.015, 0.16 + 0.1225 + 0.5625]
    assert found["brier"].value == pytest.approx(np.mean(squares))
    assert found["brier"].se == pytest.approx(np.std(squares, ddof=1) / math.sqrt(6))
    logs = -np.log([0.8, 0.5, 0.1, 0.7, 0.9, 0.25])
    assert found["log_loss"].value == pytest.approx(logs.mean())
    assert found["log_loss"].se == pytest.approx(logs.std(ddof=1) / math.sqrt(6))
    assert "class_auroc" not in found, "three classes have none"


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 10_000))
def test_random_predictions_agree_with_the_formulas(classes: int, texts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), texts)
    labels = rng.integers(0, classes, texts)
    found, confusion = class_measures(np.log(p), labels)
    counts = np.array(confusion)
    said = p.argmax(axis=1)
    assert all(
        counts[i, j] == np.sum((labels == i) & (said == j))
        for i in range(classes)
        for j in range(classes)
    )
    true, called = counts.sum(axis=1), counts.sum(axis=0)
    f1 = [2 * counts[c, c] / (true[c] + called[c]) for c in range(classes) if true[c] + called[c]]
    recalls = [counts[c, c] / true[c] for c in range(classes) if true[c]]
    assert found["macro_f1"].value == pytest.approx(100 * np.mean(f1))
    assert found["balanced_accuracy"].value == pytest.approx(100 * np.mean(recalls))
    every = np.arange(classes)
    assert confusion == tuple(map(tuple, metrics.confusion_matrix(labels, said, labels=every)))
    either = sorted({*labels.tolist(), *said.tolist()})
    score = metrics.f1_score(labels, said, labels=either, average="macro", zero_division=0)
    assert found["macro_f1"].value == pytest.approx(100 * score)
    hot = np.zeros_like(p)
    hot[np.arange(texts), labels] = 1
    assert found["brier"].value == pytest.approx(np.mean(np.sum((p - hot) ** 2, axis=1)))
    error = 0.0
    for b in range(15):
        rows = (p.max(axis=1) > b / 15) & (p.max(axis=1) <= (b + 1) / 15)
        if rows.any():
            error += rows.mean() * abs((said == labels)[rows].mean() - p.max(axis=1)[rows].mean())
    assert found["ece"].value == pytest.approx(100 * error)
    both = classes == 2 and 0 < labels.sum() < texts
    assert ("class_auroc" in found) == both
    if both:
        ups, downs = p[labels == 1, 1], p[labels == 0, 1]
        pairs = (ups[:, None] > downs).mean() + (ups[:, None] == downs).mean() / 2
        assert found["class_auroc"].value == pytest.approx(pairs)
        area = metrics.roc_auc_score(labels, np.log(p[:, 1] / p[:, 0]))
        assert found["class_auroc"].value == pytest.approx(area)


def test_a_bin_holds_its_upper_end_and_probability_one_is_in_the_last() -> None:
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, False])) == pytest.approx(50)
    # 0.68 and 0.72 share the bin from 10/15 to 11/15, 0.74 is in the next one.
    right = np.array([True, False, True])
    expected = 100 * (abs(0.32 - 0.72) + 0.26) / 3
    assert calibration_error(np.array([0.68, 0.72, 0.74]), right) == pytest.approx(expected)


def test_controls_a_perfect_model_and_one_that_knows_nothing() -> None:
    labels = np.array([0] * 70 + [1] * 30)
    perfect = values(np.eye(2)[labels].clip(1e-30), labels)
    assert perfect == pytest.approx(
        {"macro_f1": 100, "balanced_accuracy": 100, "ece": 0, "brier": 0, "log_loss": 0,
         "class_auroc": 1}
    )  # fmt: skip
    prior = values(np.tile([0.7, 0.3], (100, 1)), labels)
    reference = {name: OF_MODEL[name].reference_value([70, 30]) for name in OF_CLASSES}
    assert prior["ece"] == pytest.approx(0)
    certain = values(np.tile([1.0, 1e-300], (100, 1)), labels)
    assert certain["ece"] == pytest.approx(30)
    assert {**prior, "ece": certain["ece"]} == pytest.approx(reference)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 60),
        ("balanced_accuracy", 50),
        ("macro_f1", 100 * (2 * 0.6 / 1.6) / 2),
        ("ece", 40),
        ("brier", 1 - 0.36 - 0.16),
        ("log_loss", -0.6 * math.log(0.6) - 0.4 * math.log(0.4)),
        ("class_auroc", 0.5),
    ],
)
def test_the_reference_leaves_out_a_class_without_texts(name: str, expected: float) -> None:
    assert OF_MODEL[name].reference_value([6, 4, 0]) == pytest.approx(expected)


def test_a_class_without_texts_counts_for_macro_f1_alone_and_where_it_is_predicted() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    found = values(p, np.array([0, 0]))
    assert found["balanced_accuracy"] == pytest.approx(50)
    assert found["macro_f1"] == pytest.approx(100 * (2 / 3) / 2)


def test_scores_keep_them_and_old_ones_are_read_without() -> None:
    measures, confusion = class_measures(np.log(P), LABELS)
    old = plain_scores()
    new = Scores("dev", 6, {**old.values, **measures}, confusion=confusion)
    written = json.loads(json.dumps(new.to_plain()))
    assert Scores.from_plain(written) == new
    assert written["loss"] == measures["log_loss"].value
    assert written["classes"]["recall"] == pytest.approx([100 * 2 / 3, 100, 0])
    assert written["classes"]["precision"] == pytest.approx([100 * 2 / 3, 100 * 2 / 3, None])
    before = {name: value for name, value in old.to_plain().items() if name != "classes"}
    read = Scores.from_plain(before)
    assert read.value("log_loss") == before["loss"]
    assert [name for name in OF_CLASSES if read.has(name)] == ["log_loss"]
    assert read.confusion == read.precision == ()
    assert read.to_plain()["classes"] is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20),
)
def test_consistency_counts_groups_that_are_right_as_a_whole(texts) -> None:
    groups = np.array([group for group, _ in texts])
    right = np.array([is_right for _, is_right in texts])
    measured = group_consistency(right, groups)
    whole = [
        all(one for other, one in texts if other == group)
        for group in set(groups.tolist())
        if groups.tolist().count(group) > 1
    ]
    if not whole:
        assert measured == {}
        return
    assert measured["consistency"].value == pytest.approx(100 * np.mean(whole))
    assert measured["consistency_groups"].value == len(whole)


def test_consistency_is_harder_than_accuracy() -> None:
    # A model that reads nothing of what was revised has one text of each pair.
    groups, right = np.arange(40) // 2, np.arange(40) % 2 == 0
    assert group_consistency(right, groups)["consistency"] == (0.0, 0.0)
    assert group_consistency(np.ones(40, bool), groups)["consistency"].value == 100.0
    right = np.arange(40) < 30
    assert group_consistency(right, groups)["consistency"].value == 75.0
    assert group_consistency(right, None) == {}
    assert group_consistency(right, np.arange(40)) == {}


def test_consistency_is_kept_and_shown_only_where_there_is_one() -> None:
    plain = plain_scores().to_plain()
    assert not [key for key in plain if key.startswith("consistency")]
    plain |= {"consistency": 62.5, "consistency_se": 5.0, "consistency_groups": 40}
    scores = Scores.from_plain(json.loads(json.dumps(plain)))
    assert scores.to_plain() == plain
    assert Objective(name="consistency").metric == "consistency"
    assert scores.value("consistency") == 62.5
    assert ">consistency, points ↑" in quality_table({"a": scores, "b": plain_scores()}).columns
    # What no model has, like the AUROC of three classes, has no column.
    measured = [name for name in OF_CLASSES if plain_scores().has(name)]
    assert len(quality_table({"b": plain_scores()}).columns) == 1 + len(measured)
    assert {one.name: one.se for one in measured_metrics(scores)}["consistency"] == 5.0


def test_agreement_of_an_earlier_version_is_written_as_it_was() -> None:
    of_old = {"average_precision": 0.5, "average_precision_se": 0.1, "auroc": 0.6, "auroc_se": 0.1,
              "precision_at_gold": 0.4, "precision_at_gold_se": 0.1}  # fmt: skip
    plain = plain_scores().to_plain()
    plain["agreements"] = [{"ranking": "capacity", "texts": 9, **of_old}]
    assert Scores.from_plain(plain).to_plain() == plain
    plain["agreements"][0] |= {"iou_f1": 0.2, "iou_f1_se": None}
    assert Scores.from_plain(plain).to_plain() == plain
