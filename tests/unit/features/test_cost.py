from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_encoder import FAMILIES, tiny_encoder

from safr_study.cluster.slots import TrialSlots
from safr_study.data import EncodedCorpus, encoded_corpus, read_encoder
from safr_study.features.study_base.cost import (
    ASSUMED_FLOPS,
    START_SECONDS,
    STEP_SECONDS,
    TRIAL_SECONDS,
    Cost,
    _encoder_shape,
    _kept_in_training,
    count_parameters,
    encoder_parameters,
    estimate,
    expected_epochs,
    operations_of,
)
from safr_study.features.study_base.probe import training_rate
from safr_study.model import (
    Classifier,
    PieceTable,
    PretrainedClassifier,
    build_model,
    piece_table,
)
from safr_study.settings import CorpusSpec, ModelShape, Penalties, StudySpec, TrainConfig
from safr_study.settings.space_files import find_space
from safr_study.training.loop import begin_training
from safr_study.training.steps import losses_of

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


def test_an_epoch_of_some_texts_costs_its_part(corpus: EncodedCorpus) -> None:
    half = -(-corpus.train.examples // 2)
    whole = estimate(spec(train=TrainConfig(epochs=3)), corpus, ONE, 1)
    parts = estimate(spec(train=TrainConfig(epochs=6, epoch_texts=half)), corpus, ONE, 1)
    as_long = estimate(spec(train=TrainConfig(epochs=6)), corpus, ONE, 1)
    # The same training, and three more looks at dev.
    assert whole.seconds < parts.seconds < as_long.seconds


def test_early_stopping_ends_about_as_many_as_the_scheduler_aims_at() -> None:
    # 3 baselines; of 21 trials 4 + 17 (1/3 + 2/3 0.05) go on at epoch 2, and so forth.
    study = spec(trials=24, train=TrainConfig(epochs=20))
    epochs = expected_epochs(study, 24)
    assert len(epochs) == 24
    exempt = len(study.space.baselines)
    going, ended = 24.0 - exempt, 0
    for rung in (2, 6, 18):
        stays = 4 + (going - 4) * (1 / 3 + 2 / 3 * 0.05)
        assert epochs.count(rung) == round(going - stays)
        ended += epochs.count(rung)
        going = 24.0 - exempt - ended
    assert epochs.count(20) == 24 - ended
    none = spec(trials=24, scheduler={"name": "none"}, train=TrainConfig(epochs=20))
    assert expected_epochs(none, 24) == [20.0] * 24
    # Few trials: nobody is there to beat them.
    assert expected_epochs(study, exempt + 2) == [20.0] * (exempt + 2)


def test_the_range_is_from_early_stopping_to_none(corpus: EncodedCorpus) -> None:
    cost = estimate(spec(trials=24), corpus, ONE, 24)
    assert START_SECONDS < cost.least_seconds < cost.seconds
    never = estimate(spec(trials=24, scheduler={"name": "none"}), corpus, ONE, 24)
    assert never.least_seconds == never.seconds == cost.seconds


def test_a_measured_rate_replaces_the_guess(corpus: EncodedCorpus) -> None:
    guess, study = estimate(spec(), corpus, ONE, 4), spec(train=TrainConfig(epochs=3))
    assert not guess.measured
    rate = training_rate(study, corpus, seconds=0.1)
    assert rate > 0
    found = estimate(study, corpus, ONE, 4, rate)
    assert found.measured
    computing = found.seconds - START_SECONDS - 4 * TRIAL_SECONDS
    twice = estimate(study, corpus, ONE, 4, 2 * rate)
    assert twice.seconds - START_SECONDS - 4 * TRIAL_SECONDS == pytest.approx(computing / 2)
    # What it says of an epoch is what an epoch's texts take at this rate.
    rows = list(range(corpus.train.examples))
    epoch = operations_of(study, corpus, rows) / rate
    assert computing > 4 * 3 * epoch


@pytest.mark.parametrize("family", ["bert"])
def test_the_rate_over_an_encoder_is_measured_too(family: str, tmp_path: Path) -> None:
    folder = str(tiny_encoder(family, tmp_path / family))
    data = CorpusSpec(dataset="planted", encoder=folder, train_limit=100, dev_limit=50)
    encoded = encoded_corpus(data)
    for head in ("all", "head"):
        train = TrainConfig.parse({"train_encoder": head})
        assert training_rate(spec(corpus=data, train=train), encoded, seconds=0.0) > 0
        model, optimizer = begin_training(train, encoded, torch.device("cpu"))
        (group,) = optimizer.param_groups
        assert (len(group["params"]) < len(list(model.parameters()))) == (head == "head")


def test_the_nominal_operations_of_a_token_are_those_known(corpus: EncodedCorpus) -> None:
    # 6.3 MFLOP per token for the paper's shape, beside attention and penalties.
    cost = estimate(spec(train=TrainConfig(epochs=1)), corpus, ONE, 1)
    tokens = len(corpus.train.tokens)
    steps = math.ceil(corpus.train.examples / TrainConfig().batch_size)
    computing = cost.seconds - START_SECONDS - TRIAL_SECONDS - steps * STEP_SECONDS
    assert computing * ASSUMED_FLOPS["cpu"] / tokens == pytest.approx(6.3e6, rel=0.35)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("vmask", [True, False])
def test_an_encoder_s_parameters_are_those_of_the_model(
    family: str, vmask: bool, tmp_path: Path
) -> None:
    files = read_encoder(tiny_encoder(family, tmp_path / family))
    table = piece_table(files.tokenizer())
    shape = ModelShape(vmask=vmask, mask_hidden_dim=7)
    model = PretrainedClassifier(files.shape, shape, classes=3, table=table)
    built = sum(parameter.numel() for parameter in model.parameters())
    assert encoder_parameters(files.shape, _encoder_shape(shape, files.shape), 3) == built


def test_an_encoder_counts_with_its_weights_its_pieces_and_what_of_it_is_trained(
    tmp_path: Path,
) -> None:
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 4}
    folder = str(tiny_encoder("bert", tmp_path / "bert", **sizes))
    data = CorpusSpec(dataset="planted", encoder=folder, train_limit=200, dev_limit=50)
    corpus = encoded_corpus(data)

    def cost(**changes: object) -> Cost:
        return estimate(spec(corpus=data, **changes), corpus, ONE, 1)

    whole, head = cost(), cost(train=TrainConfig(train_encoder="head"))
    assert whole.parameters == head.parameters
    assert corpus.pieces is not None
    encoder = corpus.pieces.shape
    blocks = _encoder_shape(ModelShape(), encoder)
    trained_less = whole.parameters - count_parameters(
        blocks.model_copy(update={"layers": 0}), 0, len(corpus.class_names)
    )
    assert whole.memory_bytes - head.memory_bytes == 12 * trained_less
    assert head.seconds < whole.seconds
    # Twice the pieces take twice the products.
    double = replace(
        corpus,
        pieces=replace(
            corpus.pieces,
            offsets=2 * corpus.pieces.offsets,
            pieces=np.repeat(corpus.pieces.pieces, 2),
        ),
    )
    longer = estimate(spec(corpus=data), double, ONE, 1)
    assert longer.seconds > whole.seconds
    assert longer.parameters == whole.parameters


@pytest.mark.parametrize("kind", ["scratch", "encoder"])
def test_what_a_step_keeps_is_about_what_is_foreseen(kind: str, tmp_path: Path) -> None:
    shape = ModelShape(embed_dim=64, ffn_dim=256, heads=4, layers=3, mask_hidden_dim=64)
    model: Classifier
    words = torch.arange(2, 34).repeat(16, 1)
    if kind == "scratch":
        model = build_model(
            shape, preset="masked", vocabulary_size=40, classes=2, max_len=32, seed=0
        )
    else:
        sizes = {"hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4}
        made = tiny_encoder("bert", tmp_path / "bert", num_hidden_layers=3, **sizes)
        files = read_encoder(made)
        table = PieceTable(torch.tensor([0, *range(40)]), torch.arange(5, 44))
        model = PretrainedClassifier(files.shape, shape, classes=2, table=table)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    config = TrainConfig(shape=shape, penalties=Penalties(lambda_imp=1.0, lambda_inter=1.0))
    labels = torch.zeros(16, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = losses_of(config, words, labels, model.train(), torch.Generator())
    foreseen = 4 * _kept_in_training(shape, 16, 32)
    assert 0.6 < foreseen / sum(kept.values()) < 1.5
    assert losses["total"].requires_grad


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
