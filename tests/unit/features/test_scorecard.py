"""The scorecard of a study: which models, what is measured, and where the measures disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic_study import complete_trial

from safr_study.checkpoint.model_files import save_model
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.evaluation.scoring import evaluate_model
from safr_study.features.report.scorecard import Scorecard, method, scorecard, scorecard_trials
from safr_study.pareto import rank_study
from safr_study.records import Measure, Scores, StudyResult, TrialRecord
from safr_study.render.scorecard import (
    scorecard_metrics,
    scorecard_sentences,
    scorecard_table,
    scorecard_values,
)
from safr_study.settings import CorpusSpec, EvaluationConfig, TrainConfig, Wanted
from safr_study.training import fit

CPU = torch.device("cpu")
OFF: dict[str, Any] = {"lambda_l1": 0.0, "lambda_ortho": 0.0, "ffn_topk": 1.0}
PARAMETERS: dict[int, dict[str, Any]] = {
    0: {"vmask": False, "lambda_imp": None, "lambda_inter": None, **OFF},
    1: {"vmask": True, "lambda_imp": 0.0, "lambda_inter": 0.0, **OFF},
    2: {"vmask": True, "lambda_imp": 1.0, "lambda_inter": 0.0, **OFF},
    3: {"vmask": True, "lambda_imp": 0.0, "lambda_inter": 0.5, **OFF, "lambda_l1": 1.0},
    4: {"vmask": False, **OFF, "lambda_l1": 1.0},
    5: {"vmask": False, **OFF, "lambda_l1": 10.0},
    6: {"vmask": False, **OFF, "ffn_topk": 0.1},
    7: {"vmask": False, **OFF, "lambda_ortho": 99.0},
}
VALUES = {
    0: (70.0, 1.0), 1: (69.0, 4.0), 2: (66.0, 12.0), 3: (50.0, 2.0),
    4: (65.0, 3.0), 5: (68.5, 5.0), 6: (60.0, 14.0), 7: (40.0, 30.0),
}  # fmt: skip
BASELINES = {0: "no-vmask", 1: "vmask-only"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def study(*numbers: int, saturated: int | None = None) -> StudyResult:
    trials = [
        replace(
            complete_trial(n, *VALUES[n], baseline=BASELINES.get(n), saturated=n == saturated),
            parameters=PARAMETERS[n],
        )
        for n in numbers
    ]
    return rank_study("s", "planted", ("accuracy", "srs@30"), (50.0, 0.0), trials, asked=8)


def test_a_trial_is_of_one_method_or_of_none() -> None:
    found = {number: method(parameters) for number, parameters in PARAMETERS.items()}
    assert found == {
        0: None, 1: None, 2: "SAFR", 3: None, 4: "L1", 5: "L1", 6: "Top-K", 7: "orthogonality"
    }  # fmt: skip
    # A space without rivals.
    assert method({"lambda_imp": 0.1, "lambda_inter": 0.0}) == "SAFR"


def test_the_knee_the_baselines_and_the_best_of_each_method_are_on_it() -> None:
    result = study(*VALUES)
    assert result.choice is not None
    chosen = {name: ranked.trial.number for name, ranked in scorecard_trials(result).items()}
    knee = result.choice.trial.number
    assert knee == 2
    # Trial 5 of the L1 ones is on the front; 2 is there as the knee alone, 3 is of two methods.
    assert chosen == {
        "knee #2": 2, "no-vmask #0": 0, "vmask-only #1": 1, "L1 #5": 5, "Top-K #6": 6,
        "orthogonality #7": 7,
    }  # fmt: skip
    assert list(scorecard_trials(study(*VALUES, saturated=5)))[-3:].count("L1 #4") == 1
    assert scorecard_trials(study()) == {}


SE = 1.0


def scores_of(**values: float | Measure) -> Scores:
    named = {name.replace("_at_", "@"): value for name, value in values.items()}
    if any("@" in name for name in named):
        named["realised_share@30"] = 0.3
    return Scores(
        "dev",
        100,
        {n: v if isinstance(v, Measure) else Measure(v, SE) for n, v in named.items()},
    )


BASE = scores_of(accuracy=80.0, srs_at_30=10.0, contrast_at_30=5.0, neuron_effect_at_30=1.0,
                 neuron_effect_zero_at_30=1.0, neuron_effect_resample_at_30=1.0)  # fmt: skip


def sentences(**changes: float | Measure) -> list[str]:
    values = {name.replace("_at_", "@"): value for name, value in changes.items()}
    found = {n: v if isinstance(v, Measure) else Measure(v, SE) for n, v in values.items()}
    other = replace(BASE, values={**BASE.values, **found})
    return scorecard_sentences([("base #0", BASE), ("knee #1", other)], 0.3, "base #0")


def test_a_sentence_says_where_measures_disagree() -> None:
    # The noise of a difference of two is 1.96 sqrt(2).
    assert sentences(srs_at_30=14.0) == [
        "knee #1 against base #0: SRS(30) is better, contrast(30) and neuron effect(30) are within "
        "the noise."
    ]
    assert sentences(srs_at_30=14.0, contrast_at_30=1.0, neuron_effect_at_30=4.0) == [
        "knee #1 against base #0: SRS(30) and neuron effect(30) are better, contrast(30) is worse."
    ]
    # Where all agree there is nothing to say, and accuracy is no measure of an explanation.
    assert sentences(srs_at_30=14.0, contrast_at_30=9.0, neuron_effect_at_30=4.0) == []
    assert sentences(accuracy=60.0) == []
    assert sentences(srs_at_30=12.7) == []
    # What has no error, or is not there, is not judged.
    assert sentences(srs_at_30=Measure(99.0)) == []


def test_an_effect_without_one_sign_is_marked() -> None:
    (said,) = sentences(neuron_effect_zero_at_30=-1.0)
    assert said.startswith("knee #1: neuron effect(30) (*) changes sign")
    other = replace(BASE, values={**BASE.values, "neuron_effect_zero@30": Measure(-1.0, SE)})
    made = scorecard_table([("base #0", BASE), ("knee #1", other)], 0.3)
    assert list(made.columns) == [
        "model", ">accuracy ↑", ">SRS(30) ↑", ">contrast(30) ↑", ">neuron effect(30) ↑"
    ]  # fmt: skip
    assert [row[-1].endswith("*") for row in made.rows] == [False, True]
    assert made.rows[0][1] == "80.00 ± 1.96"


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(SPEC)


SPEC = CorpusSpec(dataset="planted", train_limit=60, dev_limit=40, test_limit=10, max_len=42)


@pytest.fixture(scope="module")
def result(corpus: EncodedCorpus, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """A baseline, a model with Top-K, and one whose files are gone."""
    trials: list[TrialRecord] = []
    for number in (0, 6, 7):
        shape = {"embed_dim": 16, "ffn_dim": 16, "heads": 2, "vmask": False}
        config = TrainConfig.model_validate(
            {
                "shape": {**shape, "ffn_topk": PARAMETERS[number]["ffn_topk"]},
                "penalties": {"lambda_imp": None, "lambda_inter": None},
                "epochs": 1,
                "learning_rate": 1e-2,
                "seed": number,
            }
        )
        ref = None
        if number != 7:
            fitted = fit(config, corpus, device=CPU)
            ref = save_model(
                tmp_path_factory.mktemp("models") / "model", fitted.model, config=config,
                corpus=corpus, spec=SPEC, evaluation=EvaluationConfig(cause_texts=10),
                scores=None, epoch=1,
            )  # fmt: skip
        made = complete_trial(number, *VALUES[number], baseline=BASELINES.get(number))
        trials.append(replace(made, parameters=PARAMETERS[number], checkpoint=ref))
    return rank_study("s", "planted", ("accuracy", "srs@30"), (50.0, 0.0), trials, asked=3)


def card_of(result: StudyResult, corpus: EncodedCorpus, *, causes: bool) -> Scorecard:
    return scorecard(result, corpus, corpus.dev, k=0.3, causes=causes)


def test_its_numbers_are_those_of_an_evaluation(
    result: StudyResult, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    card = card_of(result, corpus, causes=False)
    names = [name for name, _ in card.models]
    assert names == ["compromise #6", "no-vmask #0"]
    assert (card.texts, card.k, card.causes) == (40, 0.3, False)
    (problem,) = card.problems
    assert "#7 is not on the scorecard: its model is no longer there" in problem
    from safr_study.features.report.load_trial import load_trial

    for (_, scores), number in zip(card.models, (6, 0), strict=True):
        trial = next(r.trial for r in result.ranked if r.trial.number == number)
        loaded = load_trial(trial)
        assert loaded is not None
        want = Wanted(
            shares=(0.3,), random=True, bottom=True, alone=True, superposition=True,
            agreements=("capacity",),
        )  # fmt: skip
        expected = evaluate_model(
            loaded.model, corpus.dev, split_name="dev", config=loaded.evaluation, want=want,
            preset="masked", device=CPU,
        ).scores  # fmt: skip
        assert scores == expected
        has = set(scorecard_values(scores, 0.3))
        assert has == {
            one for one in scorecard_metrics(0.3) if "effect" not in one and one != "naopc"
        }


def test_causes_are_measured_where_they_are_asked_for(
    result: StudyResult, corpus: EncodedCorpus
) -> None:
    card = card_of(result, corpus, causes=True)
    for _, scores in card.models:
        found = scorecard_values(scores, 0.3)
        assert {"neuron_effect@30", "capacity_effect@30"} <= set(found)
        assert found["neuron_effect@30"].se is not None
        assert ("naopc" in found) == scores.has("naopc")
