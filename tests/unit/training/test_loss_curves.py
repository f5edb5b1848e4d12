"""The training against a straightforward one, step by step, without dropout."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from benchmarks.straightforward import Straightforward, straightforward_steps

from safr_study.data import Batch, EncodedCorpus, training_batches
from safr_study.model import build_model
from safr_study.settings import ModelShape, Penalties, Preset, TrainConfig
from safr_study.training import computing
from safr_study.training.steps import stepping

STEPS = 130
"""More than `DENSE_STEPS`, so that rows are left behind and catch up."""


def config_of(preset: Preset, layers: int, **changes: Any) -> TrainConfig:
    given: dict[str, Any] = {
        "preset": preset,
        "shape": ModelShape(
            embed_dim=16, ffn_dim=32, heads=2, mask_hidden_dim=16, layers=layers, dropout=0.0
        ),
        "penalties": Penalties(lambda_imp=1.0, lambda_inter=0.1),
        "learning_rate": 1e-3,
        "batch_size": 4,
    }
    return TrainConfig(**{**given, **changes})


def batches_of(corpus: EncodedCorpus, config: TrainConfig) -> list[Batch]:
    pad_to = corpus.max_len if config.preset == "reference" else None
    epochs = (
        training_batches(corpus.train, config.batch_size, seed=0, epoch=epoch, pad_to=pad_to)
        for epoch in cycle([1])
    )
    return list(islice((batch for epoch in epochs for batch in epoch), STEPS))


def fast_curve(
    corpus: EncodedCorpus, config: TrainConfig, batches: list[Batch]
) -> tuple[npt.NDArray[np.float64], dict[str, torch.Tensor]]:
    model = build(corpus, config)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    noise = torch.Generator().manual_seed(3)
    with computing(1), stepping(config, model, optimizer, noise) as step:
        losses = [step(batch) for batch in batches]
    curve = [[loss[name].item() for name in NAMES] for loss in losses]
    return np.array(curve), model.state_dict()


NAMES = ("total", "cross_entropy", "importance", "interaction")


def build(corpus: EncodedCorpus, config: TrainConfig) -> Any:
    return build_model(
        config.shape,
        preset=config.preset,
        vocabulary_size=corpus.vocabulary_size,
        classes=2,
        max_len=corpus.max_len,
        seed=0,
    ).train()


@pytest.mark.parametrize(("preset", "layers"), [("masked", 1), ("masked", 2), ("reference", 1)])
def test_the_losses_are_those_of_the_straightforward_training(
    corpus: EncodedCorpus, preset: Preset, layers: int
) -> None:
    config = config_of(preset, layers)
    batches = batches_of(corpus, config)
    curve, weights = fast_curve(corpus, config, batches)
    plain = Straightforward(
        config, vocabulary=corpus.vocabulary_size, classes=2, length=corpus.max_len
    )
    plain.load_state_dict(build(corpus, config).state_dict())
    noise = torch.Generator().manual_seed(3)
    with computing(1):
        expected = [
            [losses[name] for name in NAMES]
            for losses in straightforward_steps(plain, iter(batches), noise)
        ]
    np.testing.assert_allclose(curve, expected, rtol=1e-4, atol=1e-5)
    assert curve[-1, 0] < 0.95 * curve[0, 0]  # It trained: equal curves are not equal standstills.
    for name, value in plain.state_dict().items():
        if name.endswith("key.bias"):
            continue  # Softmax takes no notice of it, so that Adam steps by rounding errors.
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4)
    # Another learning rate is told apart at that tolerance.
    other, _ = fast_curve(corpus, config_of(preset, layers, learning_rate=1.01e-3), batches)
    assert not np.allclose(other, expected, rtol=1e-4, atol=1e-5)
