"""How near fine-tuning an encoder comes to the machine's limit, and to plain `transformers`.

    SAFR_STUDY_ENCODER=FOLDER SAFR_STUDY_DATA=... python -m benchmarks.encoder_speed [--quick]

One thread, batches of 32 texts of the SST-2 treebank sentences; a training without VMASK and one
with lambda (1, 0.1). Both, the library's and products of the same sizes take turns.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from benchmarks.measured import Measured, markdown
from benchmarks.training_flops import block_flops, word_flops
from benchmarks.training_speed import evaluation_seconds, fast_training, gemm_rate, timed
from safr_study.data import Batch, EncodedCorpus, encoded_corpus, piece_lengths, training_batches
from safr_study.model import SPECIAL, PretrainedClassifier, piece_counts
from safr_study.model.piece_layout import lay_out
from safr_study.settings import CorpusSpec, ModelShape, Penalties, TrainConfig, Wanted
from safr_study.training.adam import DENSE_STEPS

FOLDER = "SAFR_STUDY_ENCODER"
"""Environment variable: the encoder's folder."""
FRACTION, TIMES_AS_LONG, EVALUATION_EPOCHS = 0.6, 1.0, 0.3
"""Targets: of the GEMM rate at least, of the library's step and of an epoch at most."""
LEARNING_RATE = 5e-5


@dataclass(frozen=True)
class Found:
    """What was measured of one kind of training; seconds are per step of 32 texts."""

    title: str
    gemm_gflops: float
    nominal_gflop: float
    """Work of a step that real pieces and words ask for."""
    seconds: float
    library_seconds: float
    """Of a step of plain fine-tuning by `transformers`, on the same batches."""
    evaluation_epochs: float
    """Accuracy and SRS(30) on dev, over an epoch of this training."""

    @property
    def fraction(self) -> float:
        """Nominal work over seconds, over the GEMM rate."""
        return self.nominal_gflop / self.seconds / self.gemm_gflops

    @property
    def ratio(self) -> float:
        """A step over the library's."""
        return self.seconds / self.library_seconds


def measure(steps: int = 24, rounds: int = 5) -> list[Measured]:
    """The lines of `make bench`; none where no encoder is named."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        sys.stderr.write(f"encoder: left out, as {FOLDER} names no folder of one\n")
        return []
    corpus = encoded_corpus(CorpusSpec(dataset="sst2-treebank", encoder=folder))
    plain = ModelShape(vmask=False), Penalties(lambda_imp=None, lambda_inter=None)
    safr = ModelShape(), Penalties(lambda_imp=1.0, lambda_inter=0.1)
    return [
        line
        for title, (shape, penalties) in (("plain", plain), ("lambda (1, 0.1)", safr))
        for line in lines_of(
            timed_case(
                title,
                corpus,
                TrainConfig(shape=shape, penalties=penalties, learning_rate=LEARNING_RATE),
                steps,
                rounds,
            )
        )
    ]


def lines_of(found: Found) -> list[Measured]:
    """What there are targets for, and what they rest on."""
    title = f"fine-tuning an encoder, {found.title}"
    facts = {
        "gemm_gflops": round(found.gemm_gflops),
        "step_ms": round(1e3 * found.seconds, 1),
        "library_step_ms": round(1e3 * found.library_seconds, 1),
    }
    return [
        Measured(f"{title}: nominal work against the GEMM rate", found.fraction, "ratio",
                 FRACTION, "at least", facts),
        Measured(f"{title}: a step against plain `transformers`", found.ratio, "ratio",
                 TIMES_AS_LONG, facts=facts),
        Measured(f"{title}: accuracy and SRS(30) on dev, against an epoch",
                 found.evaluation_epochs, "ratio", EVALUATION_EPOCHS, facts=facts),
    ]  # fmt: skip


def timed_case(
    title: str, corpus: EncodedCorpus, config: TrainConfig, steps: int, rounds: int
) -> Found:
    """One kind of training, the library's and the products in turns; medians are given."""
    with fast_training(corpus, config) as (model, step, _):
        assert isinstance(model, PretrainedClassifier)
        counts = piece_counts(model)
        assert counts is not None
        train = training_batches(corpus.train, 32, seed=0, epoch=1, pieces=counts)
        batches = list(islice(train, steps))
        sizes = model.shape
        shape = config.shape.model_copy(
            update={n: getattr(sizes, n) for n in ("embed_dim", "ffn_dim", "heads", "layers")}
        )
        lengths = piece_lengths(corpus.train, counts) + SPECIAL
        nominal = sum(
            block_flops(shape, lengths[batch.index])
            + word_flops(shape, config.penalties, batch.lengths)
            for batch in batches
        )
        positions = sum(len(b.index) * ((b.pieces or 0) + SPECIAL) for b in batches) // steps
        with library_steps(model, batches) as library:
            run: Callable[[], object] = lambda: [step(batch) for batch in batches]  # noqa: E731
            for _ in range(1 + DENSE_STEPS // steps):  # Beyond the first steps, which are dense.
                run()
            library()
            rates, ours, theirs = [], [], []
            for turn in range(rounds):
                rates.append(gemm_rate(config.model_copy(update={"shape": shape}), positions))
                pair = [(ours, run), (theirs, library)]
                for times, work in pair if turn % 2 == 0 else reversed(pair):
                    times.append(timed(work) / steps)
        second = statistics.median(ours)
        epoch = second * corpus.train.examples / 32
        evaluation = evaluation_seconds(model, corpus, Wanted(shares=(0.3,)))
    return Found(
        title=title,
        gemm_gflops=max(rates) / 1e9,
        nominal_gflop=nominal / steps / 1e9,
        seconds=second,
        library_seconds=statistics.median(theirs),
        evaluation_epochs=evaluation / epoch,
    )


@contextmanager
def library_steps(
    model: PretrainedClassifier, batches: Iterable[Batch]
) -> Iterator[Callable[[], None]]:
    """Trains the library's classifier over the same encoder on the pieces of the batches."""
    import transformers

    transformers.logging.set_verbosity_error()
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(
        Path(os.environ[FOLDER]), num_labels=model.fc.out_features
    ).train()
    optimizer = torch.optim.AdamW(plain.parameters(), lr=LEARNING_RATE, fused=True)
    given = []
    for batch in batches:
        at = lay_out(torch.from_numpy(batch.ids), model.table, model.shape)
        labels = torch.from_numpy(batch.labels)
        given.append({"input_ids": at.pieces, "attention_mask": at.real.long(), "labels": labels})

    def run() -> None:
        for inputs in given:
            optimizer.zero_grad()
            plain(**inputs).loss.backward()
            optimizer.step()

    yield run


if __name__ == "__main__":
    few = "--quick" in sys.argv[1:]
    sys.stdout.write(markdown(measure(6, 3) if few else measure()))
