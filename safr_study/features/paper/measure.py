"""Train one row of a table under one seed and measure it on test: a line, made on a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from safr_study.checkpoint.manifest import MODEL, STATE, verify_model
from safr_study.checkpoint.model_files import LoadedModel, load_model, save_model
from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.evaluation.deletion import sample_texts
from safr_study.evaluation.dev import measure_dev
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores, word_counts
from safr_study.evaluation.scoring import Evaluated, evaluate_model
from safr_study.evaluation.superposition import (
    capacity_means,
    capacity_table,
)
from safr_study.features.paper.lines import (
    DevResult,
    Ffn1Capacities,
    Limits,
    MeanCapacities,
    PaddedCapacities,
    RunLine,
    SentimentCapacity,
)
from safr_study.features.paper.rows import PAPER_K, PART_DRAWS, PART_TEXTS, training_key
from safr_study.features.study_base.provenance import provenance
from safr_study.model import SafrOutput
from safr_study.records.run import Answers, RunResult
from safr_study.runner.task import RunTask, SharedFault, event
from safr_study.runner.worker import Report, with_gpu_share
from safr_study.settings import EvaluationConfig, Wanted, everything
from safr_study.training import computing, effective_weights, fit

_FACTS = "training.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """How the training of a model on disk went."""

    epochs: int
    """Number of epochs trained."""
    seconds: float
    """Wall time of all of them."""


def measure_paper_run(
    task: RunTask, corpus: EncodedCorpus, report: Report
) -> RunResult | SharedFault:
    """Train one row under one seed, or find it trained, and measure it on test: on a worker.

    Raises:
        TrialFailure: a loss, a logit or a capacity is not finite.
    """

    def step(device: torch.device) -> RunResult:
        done = trained(task, corpus, report, device)
        line = measure_run(task, corpus, done, device)
        return RunResult(
            *task.key,
            epochs=done.epochs,
            seconds=line.seconds,
            device=line.device,
            line=line.to_json(),
        )

    try:
        return with_gpu_share(task, step)
    except CorruptCheckpoint:
        raise
    except BadInput as error:
        return SharedFault(error.problem, bad_input=error.field)


def trained(task: RunTask, corpus: EncodedCorpus, report: Report, device: torch.device) -> Trained:
    """Train a model, or resume its training, unless the task's folder has it whole.

    Raises:
        TrialFailure: a loss is not finite.
    """
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Commands with results of their own share the models: one at a time trains here.
    with FileLock(folder / "lock"):
        return _finished(folder) or _train(task, corpus, report, device)


def _train(task: RunTask, corpus: EncodedCorpus, report: Report, device: torch.device) -> Trained:
    folder = Path(task.folder)
    began = time.perf_counter()
    fitted = fit(
        task.train,
        corpus,
        device=device,
        resume_from=folder / STATE,
        on_epoch=lambda epoch: report(event(epoch)),
    )
    save_model(
        folder / MODEL,
        fitted.model,
        config=task.train,
        corpus=corpus,
        spec=task.corpus,
        evaluation=task.evaluation,
        scores=None,
        epoch=fitted.best_epoch,
    )
    # Epochs of an interrupted run count by their own clocks.
    seconds = max(time.perf_counter() - began, sum(epoch.seconds for epoch in fitted.epochs))
    done = Trained(len(fitted.epochs), seconds)
    (folder / _FACTS).write_text(json.dumps(asdict(done)) + "\n", encoding="utf-8")
    return done


def _finished(folder: Path) -> Trained | None:
    try:
        verify_model(folder / MODEL)
        plain = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        return Trained(int(plain["epochs"]), float(plain["seconds"]))
    except (CorruptCheckpoint, OSError, ValueError, KeyError, TypeError):
        return None


def measure_run(
    task: RunTask, corpus: EncodedCorpus, done: Trained, device: torch.device
) -> RunLine:
    """Everything that the tables and figures need of one run; reads the test set.

    Args:
        task: its folder has the model. Its extras say whether all metrics at every k of the curve
            are wanted and not k = 30 % alone, whether what Table 3 needs is, and whether these
            are of a part of the texts.
        corpus: the data of the training, with a test split.
        done: how the training went.
        device: where to measure.

    Raises:
        BadInput: the test texts are too short for Table 3.
        TrialFailure: what the model computes is not finite.
    """
    began = time.perf_counter()
    test, spec, evaluation = corpus.split("test"), task.corpus, task.evaluation
    loaded = load_model(Path(task.folder) / MODEL, device=device)
    config = loaded.config
    curve = replace(
        everything(), leave_one_out=False, control_shares=(PAPER_K,), causes=(), interchange=False
    )
    want = curve if "curve" in task.extras else replace(curve, shares=(PAPER_K,))
    part = None
    if "part" in task.extras:
        want = Wanted(shares=(PAPER_K,), random=True, bottom=True)
        part = sample_texts(test, PART_TEXTS, seed=evaluation.seed)
    pad_to = corpus.max_len if config.preset == "reference" else None
    counts = word_counts(corpus.train, corpus.vocabulary_size)

    def scored(texts: EncodedSplit, config: EvaluationConfig, want: Wanted) -> Evaluated:
        return evaluate_model(
            loaded.model,
            texts,
            split_name="test",
            config=config,
            want=want,
            preset=loaded.config.preset,
            device=device,
            train_counts=counts,
        )

    with computing(config.threads):
        measured, of_part = scored(test, evaluation, want), None
        if part is not None:
            few = evaluation.model_copy(update={"draws": PART_DRAWS})
            of_part = scored(part, few, curve).scores
        dev = measure_dev(loaded.model, corpus.dev, device=device, pad_to=pad_to)
        effective = effective_weights(
            config, corpus.train, loaded.model, device=device, pad_to=pad_to
        )
        of_table3 = None
        if task.extras and loaded.model.vmask is not None:
            of_table3 = _capacities(loaded, test if part is None else part, evaluation, device)
        sentiment = _sentiment(loaded, test, evaluation, device)
    deleted, labels = measured.deleted[PAPER_K], test.labels
    assert deleted.random is not None
    right = {PAPER_K: (deleted.top == labels, deleted.random == labels)}
    facts = provenance(corpus.fingerprint, device=str(device))
    return RunLine(
        key=training_key(config, corpus),
        dataset=spec.dataset,
        corpus=corpus.fingerprint,
        preset=config.preset,
        vmask=config.shape.vmask,
        lambda_imp=config.penalties.lambda_imp,
        lambda_inter=config.penalties.lambda_inter,
        seed=config.seed,
        limits=Limits(train=spec.train_limit, dev=spec.dev_limit, test=spec.test_limit),
        epochs=done.epochs,
        best_epoch=loaded.epoch,
        max_epochs=config.epochs,
        learning_rate=config.learning_rate,
        evaluation=evaluation,
        dev=DevResult(accuracy=dev.accuracy, loss=dev.loss),
        test=measured.scores,
        right=Answers.pack(measured.full == labels, right),
        capacities=of_table3,
        sentiment_capacity=sentiment,
        effective=effective,
        seconds=done.seconds + time.perf_counter() - began,
        device=facts.device,
        versions=facts.versions,
        of_part=of_part,
    )


def _capacities(
    loaded: LoadedModel, test: EncodedSplit, evaluation: EvaluationConfig, device: torch.device
) -> Ffn1Capacities:
    """Table 3, in its four readings; padded to the model's maximum length for PAD."""
    length = loaded.max_len
    # Padded texts are long: fewer at once keep the memory as it was.
    predictor = Predictor(loaded.model, min(32, evaluation.batch_size), length, device)
    parts: dict[tuple[str, bool], list[tuple[Tensor, Tensor]]] = {}

    def add(output: SafrOutput) -> Mapping[str, Tensor]:
        assert output.keep_probability is not None
        for layer in ("ffn1_pre_relu", "ffn1_post_relu"):
            rows = getattr(output, layer)[-1]
            for pad_in in (False, True):
                words, keep = output.positions.words, output.keep_probability
                table = capacity_table(rows, words, keep, pad_in=pad_in)
                parts.setdefault((layer, pad_in), []).append(table)
        return {}

    predictor.measure(test, add)

    def means(layer: str, pad_in: bool) -> MeanCapacities:
        found = capacity_means(parts[layer, pad_in])
        if found is None:
            raise BadInput("dataset", "its test texts are too short for Table 3; give longer ones")
        return MeanCapacities(*found)

    return Ffn1Capacities(
        *(
            PaddedCapacities(pad_out=means(layer, False), pad_in=means(layer, True))
            for layer in ("ffn1_pre_relu", "ffn1_post_relu")
        )
    )


def _sentiment(
    loaded: LoadedModel, test: EncodedSplit, evaluation: EvaluationConfig, device: torch.device
) -> SentimentCapacity | None:
    """Mean capacity of the words of the gold rationale, against the others of the same text."""
    if test.rationale is None:
        return None
    length = loaded.max_len if loaded.config.preset == "reference" else None
    predictor = Predictor(loaded.model, evaluation.batch_size, length, device)
    layer = evaluation.capacity_layer
    found = measured_scores(predictor, test, {"capacity"}, layer)[1]["capacity"]
    text = np.repeat(np.arange(test.examples), test.lengths)
    marked = test.rationale != 0
    sizes = [np.bincount(text[side], minlength=test.examples) for side in (marked, ~marked)]
    both = (sizes[0] > 0) & (sizes[1] > 0)
    if np.count_nonzero(both) < 2:
        return None
    means = [
        np.bincount(text[side], found[side], minlength=test.examples)[both] / size[both]
        for side, size in zip((marked, ~marked), sizes, strict=True)
    ]
    difference = means[0] - means[1]
    return SentimentCapacity(
        with_sentiment=float(means[0].mean()),
        without_sentiment=float(means[1].mean()),
        texts=len(difference),
        difference=float(difference.mean()),
        difference_se=float(difference.std(ddof=1) / np.sqrt(len(difference))),
    )
