from __future__ import annotations

import math

import pytest

from safr_study.cluster.slots import TrialSlots
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.features.study_base.cost import (
    ASSUMED_FLOPS,
    START_SECONDS,
    STEP_SECONDS,
    TRIAL_SECONDS,
    count_parameters,
    estimate,
)
from safr_study.model import build_model
from safr_study.settings import CorpusSpec, ModelShape, StudySpec, TrainConfig
from safr_study.settings.space_files import find_space

ONE = TrialSlots(cpus_per_trial=1, gpus_per_trial=0, max_concurrent=1, cpus=1, gpus=0)
TWO = TrialSlots(cpus_per_trial=1, gpus_per_trial=0, max_concurrent=2, cpus=2, gpus=0)


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return encoded_corpus(CorpusSpec(dataset="planted"))


def spec(**changes: object) -> StudySpec:
    given = {"name": "s", "corpus": CorpusSpec(dataset="planted"), "space": find_space("lambda")}
    return StudySpec.model_validate({**given, **changes})


@pytest.mark.parametrize("shape", [ModelShape(), ModelShape(layers=2, vmask=False, embed_dim=64)])
def test_the_parameters_are_those_of_the_model(shape: ModelShape) -> None:
    model = build_model(shape, preset="masked", vocabulary_size=321, classes=3, max_len=16, seed=0)
    built = sum(parameter.numel() for parameter in model.parameters())
    assert count_parameters(shape, 321, 3) == built


def test_the_nominal_operations_of_a_token_are_those_known(corpus: EncodedCorpus) -> None:
    # 6.3 MFLOP per token for the paper's shape, beside attention and penalties.
    cost = estimate(spec(train=TrainConfig(epochs=1)), corpus, ONE, 1)
    tokens = len(corpus.train.tokens)
    steps = math.ceil(corpus.train.examples / TrainConfig().batch_size)
    computing = cost.seconds - START_SECONDS - TRIAL_SECONDS - steps * STEP_SECONDS
    assert computing * ASSUMED_FLOPS["cpu"] / tokens == pytest.approx(6.3e6, rel=0.35)


def test_time_grows_with_trials_and_epochs_and_shrinks_with_concurrency(
    corpus: EncodedCorpus,
) -> None:
    one = estimate(spec(), corpus, ONE, 4).seconds - START_SECONDS
    assert estimate(spec(), corpus, ONE, 8).seconds == pytest.approx(START_SECONDS + 2 * one)
    assert estimate(spec(), corpus, TWO, 4).seconds == pytest.approx(START_SECONDS + one / 2)
    longer = estimate(spec(train=TrainConfig(epochs=40)), corpus, ONE, 4).seconds - START_SECONDS
    assert 1.9 * one < longer < 2 * one


def test_the_spaces_fixed_shape_is_counted(corpus: EncodedCorpus) -> None:
    small = estimate(spec(space=find_space("smoke")), corpus, ONE, 4)
    large = estimate(spec(), corpus, ONE, 4)
    assert small.seconds - START_SECONDS < (large.seconds - START_SECONDS) / 3
    assert small.disk_bytes < large.disk_bytes / 4
