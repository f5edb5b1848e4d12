"""What the measures of causes cost: NAOPC, neurons taken away, and how specific neurons are.

    SAFR_STUDY_DATA=... python -m benchmarks.causes_cost [--quick]

Time of all of them for one model on dev of the SST-2 treebank, against an epoch of its training,
in turns; with `SAFR_STUDY_ENCODER` the same of that encoder. On IMDB, how much more memory they
take of four times as many texts.
"""

from __future__ import annotations

import os
import statistics
import sys
from itertools import islice

from benchmarks.encoder_speed import FOLDER, LEARNING_RATE
from benchmarks.measured import Measured, markdown
from benchmarks.training_speed import evaluation_seconds, fast_training, timed
from benchmarks.trial_memory import part_of, peak_of
from safr_study.data import encoded_corpus, training_batches
from safr_study.settings import CorpusSpec, Penalties, TrainConfig, Wanted

EPOCHS, TIMES_AS_MUCH = 2.0, 1.2
"""Targets: epochs of training, and memory for four times as many texts, at most."""
K = 0.3
CAUSES = Wanted(shares=(K,), superposition=True, causes=(K,), naopc=True)


def measure(steps: int = 40, rounds: int = 3, texts: int = 128) -> list[Measured]:
    """The lines of `make bench`.

    Args:
        steps: timed of an epoch.
        rounds: of which the median counts.
        texts: of IMDB, and four times as many.
    """
    cases: list[tuple[str, CorpusSpec, TrainConfig]] = [
        ("from scratch", CorpusSpec(dataset="sst2-treebank"), _config(1e-4))
    ]
    if folder := os.environ.get(FOLDER):
        spec = CorpusSpec(dataset="sst2-treebank", encoder=folder)
        cases.append(("an encoder", spec, _config(LEARNING_RATE)))
    lines = [_cost(title, spec, config, steps, rounds) for title, spec, config in cases]
    return [*lines, _memory(texts)]


def _config(learning_rate: float) -> TrainConfig:
    penalties = Penalties(lambda_imp=1.0, lambda_inter=0.1)
    return TrainConfig(penalties=penalties, learning_rate=learning_rate)


def _cost(title: str, spec: CorpusSpec, config: TrainConfig, steps: int, rounds: int) -> Measured:
    corpus = encoded_corpus(spec)
    with fast_training(corpus, config) as (model, step, _):
        batches = list(islice(training_batches(corpus.train, 32, seed=0, epoch=1), steps))

        def train() -> None:
            for batch in batches:
                step(batch)

        train()
        seconds: list[float] = []
        measuring: list[float] = []
        for _ in range(rounds):
            seconds.append(timed(train) / len(batches))
            measuring.append(evaluation_seconds(model, corpus, CAUSES))
    epoch = statistics.median(seconds) * corpus.train.examples / 32
    return Measured(
        f"causes, NAOPC and specificity of one model on SST-2 dev, {title}: against an epoch",
        statistics.median(measuring) / epoch,
        "ratio",
        EPOCHS,
        facts={"epoch_s": round(epoch, 1), "texts": corpus.dev.examples},
    )


def _memory(texts: int) -> Measured:
    corpus = encoded_corpus(CorpusSpec(dataset="imdb"))
    few, many = (part_of(corpus, 32, count) for count in (texts, 4 * texts))
    with fast_training(few, _config(1e-4)) as (model, _step, _):
        peaks = [peak_of(lambda: evaluation_seconds(model, part, CAUSES)) for part in (few, many)]  # noqa: B023
    return Measured(
        f"causes, NAOPC and specificity on IMDB: peak memory of {4 * texts} texts against {texts}",
        peaks[1] / peaks[0],
        "ratio",
        TIMES_AS_MUCH,
        facts={"peak_mb": [round(peak / 1e6) for peak in peaks]},
    )


if __name__ == "__main__":
    few = "--quick" in sys.argv[1:]
    sys.stdout.write(markdown(measure(8, 1, 16) if few else measure()))
