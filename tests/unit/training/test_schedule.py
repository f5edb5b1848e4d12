"""Warm-up and decay of the learning rate, against the optimiser of torch stepped by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from safr_study.data import EncodedCorpus, training_batches
from safr_study.model import build_model
from safr_study.records import EpochReport
from safr_study.settings import TrainConfig, fingerprint_of
from safr_study.training import FitResult, fit
from safr_study.training.schedule import learning_rates
from safr_study.training.steps import losses_of

CPU = torch.device("cpu")


def changed(config: TrainConfig, **fields: Any) -> TrainConfig:
    return TrainConfig.parse({**config.model_dump(), **fields})


def rates(**fields: Any) -> list[float]:
    config = changed(TrainConfig(), learning_rate=8.0, **fields)
    return learning_rates(config, steps=5 * config.epochs).tolist()


def test_the_rate_rises_over_the_first_steps_and_falls_over_the_others() -> None:
    assert rates(epochs=2) == [8.0] * 10
    assert rates(epochs=2, warmup=0.4) == [2.0, 4.0, 6.0, 8.0] + [8.0] * 6
    falling = rates(epochs=2, warmup=0.2, decay="linear")
    assert falling == pytest.approx([4.0, 8.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert rates(epochs=1, decay="linear") == pytest.approx([8.0, 6.4, 4.8, 3.2, 1.6])


def test_training_takes_the_steps_of_torchs_adam_at_these_rates(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    asked = changed(config, epochs=1, warmup=0.5, decay="linear", learning_rate=0.01)
    model = build_model(
        asked.shape,
        preset=asked.preset,
        vocabulary_size=corpus.vocabulary_size,
        classes=len(corpus.class_names),
        max_len=corpus.max_len,
        seed=asked.seed,
    )
    adam = torch.optim.Adam(model.parameters(), lr=1.0)
    batches = list(training_batches(corpus.train, asked.batch_size, seed=asked.seed, epoch=1))
    rising = round(0.5 * len(batches))
    assert 1 < rising < len(batches) - 1
    noise = torch.Generator()
    noise.manual_seed(int(np.random.SeedSequence([asked.seed, 1]).generate_state(1, np.uint64)[0]))
    for step, batch in enumerate(batches, start=1):
        left = (len(batches) - step + 1) / (len(batches) - rising)
        adam.param_groups[0]["lr"] = 0.01 * (step / rising if step <= rising else left)
        ids, labels = torch.from_numpy(batch.ids), torch.from_numpy(batch.labels)
        adam.zero_grad()
        losses_of(asked, ids, labels, model, noise)["total"].backward()  # type: ignore[no-untyped-call]
        adam.step()
    # Not the weights: that of a key's bias has no gradient but rounding, which Adam makes steps of.
    expected = model.eval()(ids).logits
    trained = fit(asked, corpus, device=CPU).model
    torch.testing.assert_close(trained(ids).logits, expected, rtol=1e-4, atol=1e-5)
    constant = fit(changed(asked, warmup=0.0, decay="none"), corpus, device=CPU).model
    assert not torch.allclose(constant(ids).logits, expected, rtol=1e-2)


def stopped_and_resumed(
    asked: TrainConfig, corpus: EncodedCorpus, folder: Path, after: int
) -> FitResult:
    """A training that was ended after an epoch, and went on."""

    def stop(report: EpochReport) -> None:
        if report.epoch == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(asked, corpus, device=CPU, resume_from=folder, on_epoch=stop)
    return fit(asked, corpus, device=CPU, resume_from=folder)


def test_a_training_that_was_stopped_goes_on_at_the_rate_of_its_step(
    config: TrainConfig, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    asked = changed(config, epochs=3, patience=9, warmup=0.5, decay="linear")
    resumed = stopped_and_resumed(asked, corpus, tmp_path, after=2)
    whole = fit(asked, corpus, device=CPU)
    assert [dataclasses.replace(one, seconds=0.0) for one in resumed.epochs] == [
        dataclasses.replace(one, seconds=0.0) for one in whole.epochs
    ]


@pytest.mark.parametrize("stopped_after", [1, 2, 4])
def test_an_epoch_of_some_texts_is_a_part_of_a_pass_that_resumes_alike(
    config: TrainConfig, corpus: EncodedCorpus, tmp_path: Path, stopped_after: int
) -> None:
    third = -(-corpus.train.examples // 3)
    asked = changed(config, epochs=5, patience=9, warmup=0.3, decay="linear", epoch_texts=third)
    resumed = stopped_and_resumed(asked, corpus, tmp_path, after=stopped_after)
    whole = fit(asked, corpus, device=CPU)
    assert [dataclasses.replace(one, seconds=0.0) for one in resumed.epochs] == [
        dataclasses.replace(one, seconds=0.0) for one in whole.epochs
    ]
    assert [one.epoch for one in whole.epochs] == [1, 2, 3, 4, 5]
    # As many as there are is an epoch as ever.
    all_texts = changed(asked, epochs=1, epoch_texts=corpus.train.examples)
    plain = changed(asked, epochs=1, epoch_texts=None)
    first, same = (fit(one, corpus, device=CPU).epochs[0] for one in (all_texts, plain))
    assert dataclasses.replace(first, seconds=0.0) == dataclasses.replace(same, seconds=0.0)


def test_patience_is_of_passes(config: TrainConfig, corpus: EncodedCorpus) -> None:
    # A rate that changes nothing: the first epoch is never beaten.
    still = changed(config, learning_rate=1e-30, epochs=30, patience=2)
    assert len(fit(still, corpus, device=CPU).epochs) == 3
    half = -(-corpus.train.examples // 2)
    assert len(fit(changed(still, epoch_texts=half), corpus, device=CPU).epochs) == 5


def test_bfloat16_is_near_float32_and_another_training(
    config: TrainConfig, corpus: EncodedCorpus
) -> None:
    plain = fit(changed(config, epochs=1), corpus, device=CPU).epochs[0]
    lowered = fit(changed(config, epochs=1, precision="bfloat16"), corpus, device=CPU).epochs[0]
    assert lowered.train.cross_entropy != plain.train.cross_entropy
    assert lowered.train.cross_entropy == pytest.approx(plain.train.cross_entropy, rel=0.02)


def test_a_training_of_before_keeps_its_fingerprint() -> None:
    config = TrainConfig()
    written = config.model_dump(mode="json")
    assert not {"warmup", "decay"} & written.keys()
    assert fingerprint_of(written) == fingerprint_of(
        changed(config, warmup=0.0, decay="none").model_dump(mode="json")
    )
    assert changed(config, warmup=0.1).model_dump(mode="json")["warmup"] == 0.1
