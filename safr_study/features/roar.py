"""ROAR(k): remove the top tokens of every text, retrain, and compare with a random removal.

Of Hooker et al. (2019), "A Benchmark for Interpretability Methods in Deep Neural Networks". A model
that is trained on the texts as they are left cannot fail for their being unusual, as it can when
tokens are deleted from the texts of a trained model (SRS). Accuracies and what derives from them
are in percentage points.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from safr_study.checkpoint.model_files import LoadedModel
from safr_study.data import (
    EncodedCorpus,
    EncodedSplit,
    SplitName,
    WordPieces,
    find_encoder,
    remove_tokens,
    slugify,
)
from safr_study.data.word_ids import pack_vocabulary
from safr_study.errors import BadInput, TrialFailure
from safr_study.evaluation import srs
from safr_study.evaluation.deletion import (
    deletion_counts,
    random_scores,
    rank_tokens,
    without_top,
)
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores, recomputed_ranks
from safr_study.records import EpochReport
from safr_study.records.metric_values import MeasuredMetric
from safr_study.settings import EvaluationConfig, TrainConfig
from safr_study.training import computing, fit
from safr_study.uncertainty.intervals import t_interval

Floats = NDArray[np.float64]
Right = NDArray[np.bool_]
Scores = Mapping[SplitName, Floats]
"""One number per token `[T]` of each split; the highest are removed first."""
MODE = "remove"
"""Retraining knows no other way to delete."""


@dataclass(frozen=True, slots=True)
class RoarRun:
    """One pair of trainings with the same seed: without the top tokens, without random ones."""

    seed: int
    """Seed of both trainings, and of the random removal."""
    accuracy_top: float
    """Accuracy of the model trained without the top tokens, on texts without theirs."""
    accuracy_random: float
    """The same of the random removal."""
    roar: float
    """``accuracy_random`` - ``accuracy_top``."""
    roar_se: float
    """Standard error of ``roar`` from the paired examples of this run."""
    mcnemar_p: float
    """Two-sided exact McNemar test that the two accuracies differ, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class RoarScores:
    """ROAR(k) of one ranking (definitions, section 3.10); means over the seeds."""

    k: float
    """Share of the tokens removed from each text, in (0, 1]."""
    realised_share: float
    """sum(q) / sum(n): the share really removed after rounding, in the texts measured on."""
    accuracy_original: float
    """Accuracy of the model that ranked, on the whole texts."""
    accuracy_top: float
    accuracy_random: float
    roar: float
    """``accuracy_random`` - ``accuracy_top``: higher = the ranking found what the task needs."""
    roar_low: float | None
    """Student-t 95 % interval of ``roar`` over the seeds; ``None`` for one seed, as the next."""
    roar_high: float | None
    runs: tuple[RoarRun, ...]
    """One per seed."""

    @property
    def only_run(self) -> RoarRun | None:
        """The run, where there is one seed: its standard error and p stand for the interval."""
        return self.runs[0] if len(self.runs) == 1 else None


@dataclass(frozen=True, slots=True)
class RoarPlan:
    """What is retrained."""

    shares: tuple[float, ...]
    """k, ascending, each in (0, 1]."""
    seeds: int = 1
    """Pairs of trainings for each k: one has the model's own seed, several have 0 .. N-1."""


@dataclass(frozen=True, slots=True)
class RoarStep:
    """How far the retraining is."""

    training: int
    """Number of the training, from 1."""
    trainings: int
    k: float
    removed: Literal["top", "random"]
    seed: int
    epochs: int
    """Most epochs of a training."""
    report: EpochReport | None = None
    """The epoch that is over; ``None``: the training begins."""


def plan_roar(percents: Sequence[float], seeds: int) -> RoarPlan | None:
    """The plan of these options; ``None`` where nothing is to be retrained.

    Args:
        percents: of the tokens, each from 1 to 100, in any order.
        seeds: pairs of trainings for each of them.

    Raises:
        BadInput: a number is none of these, or there are seeds and nothing to train.
    """
    for percent in percents:
        if not 1 <= percent <= 100:
            raise BadInput(
                "roar", f"{percent:g} is no percentage of the tokens; give a number from 1 to 100"
            )
    if seeds < 1:
        raise BadInput("roar-seeds", f"{seeds} trainings are none; give 1 or more")
    if not percents and seeds > 1:
        raise BadInput("roar-seeds", "nothing is retrained; give --roar K too, for example 30")
    return RoarPlan(tuple(sorted({p / 100 for p in percents})), seeds) if percents else None


def roar_by(
    scores: Scores,
    config: TrainConfig,
    corpus: EncodedCorpus,
    *,
    split: SplitName,
    original: float,
    plan: RoarPlan,
    evaluation: EvaluationConfig,
    device: torch.device,
    on_step: Callable[[RoarStep], None] = lambda _: None,
) -> tuple[RoarScores, ...]:
    """ROAR of any ranking; that of a model is `capacity_scores`, on `model_corpus`.

    For each k and seed two models are trained as ``config`` says: without the top tokens and
    without as many random ones, in train, dev and ``split`` alike. Each is chosen by its own dev
    texts and measured on its own texts of ``split``. The random removal is the draw of the
    training's seed of `random_scores`. Equal arguments give equal numbers on the CPU, whatever
    else is in ``plan``.

    Args:
        scores: of train, dev and ``split``.
        config: of the trainings; the seed too, where the plan has one.
        corpus: the whole texts; its vocabulary stays as it is.
        split: measured on.
        original: accuracy of the model that ranked, on the whole texts of ``split``.
        plan: which k, how many seeds.
        evaluation: batches, and seed of the random removal.
        device: of the trainings.
        on_step: called when a training begins and after each of its epochs.

    Raises:
        TrialFailure: a loss or a logit is not finite.
    """
    seeds = range(plan.seeds) if plan.seeds > 1 else (config.seed,)
    number, trainings = itertools.count(1), 2 * len(plan.shares) * len(seeds)
    pad_to = corpus.max_len if config.preset == "reference" else None
    lengths = corpus.split(split).lengths

    def right(left: EncodedCorpus, k: float, removed: Literal["top", "random"], seed: int) -> Right:
        """Which texts `[N]` of the split a model trained on what is left predicts right."""
        step = RoarStep(next(number), trainings, k, removed, seed, config.epochs)
        on_step(step)
        seeded, texts = config.model_copy(update={"seed": seed}), left.split(split)
        try:
            fitted = fit(
                seeded,
                left,
                device=device,
                on_epoch=lambda report: on_step(replace(step, report=report)),
            )
            with computing(config.threads):
                predictor = Predictor(fitted.model, evaluation.batch_size, pad_to, device)
                found: Right = predictor.logits(texts).argmax(axis=1) == texts.labels
        except TrialFailure as error:
            raise TrialFailure(
                f"ROAR({100 * k:g}), retraining with seed {seed}, {removed} tokens removed: {error}"
            ) from error
        return found

    found = []
    for k in plan.shares:
        top, runs = without_tokens(corpus, scores, k), []
        for seed in seeds:
            chance: Scores = {
                name: random_scores(corpus.split(name).offsets, k, seed, seed=evaluation.seed)
                for name in scores
            }
            right_top = right(top, k, "top", seed)
            right_random = right(without_tokens(corpus, chance, k), k, "random", seed)
            runs.append(_run(seed, right_top, right_random))
        realised = float(deletion_counts(lengths, k).sum()) / max(1, int(lengths.sum()))
        found.append(_over_seeds(k, realised, original, runs))
    return tuple(found)


def capacity_scores(
    loaded: LoadedModel,
    splits: Mapping[SplitName, EncodedSplit],
    plan: RoarPlan,
    evaluation: EvaluationConfig,
    device: torch.device,
) -> Scores:
    """A model's own ranking of the tokens `[T]` of each split, by capacity.

    Where capacity is measured anew after each removal these are the turns, for up to the largest k.

    Raises:
        TrialFailure: a logit or a capacity is not finite.
    """
    pad_to = loaded.max_len if loaded.config.preset == "reference" else None
    predictor = Predictor(loaded.model, evaluation.batch_size, pad_to, device)
    layer, found = evaluation.capacity_layer, {}
    with computing(loaded.config.threads):
        for name, texts in splits.items():
            if evaluation.recompute:
                counts = deletion_counts(texts.lengths, max(plan.shares))
                ranks = recomputed_ranks(predictor, texts, counts, layer)
                found[name] = -ranks.astype(np.float64)
            else:
                scores = measured_scores(predictor, texts, {"capacity"}, layer)[1]
                found[name] = scores["capacity"]
    return found


def model_corpus(loaded: LoadedModel, splits: Mapping[SplitName, EncodedSplit]) -> EncodedCorpus:
    """The whole texts under the model's vocabulary and classes, for training."""
    dataset, pieces = loaded.corpus.dataset, None
    if loaded.tokenizer is not None and loaded.corpus.encoder is not None:
        encoder = find_encoder(loaded.corpus.encoder)
        learned = loaded.tokenizer
        pieces = WordPieces(
            loaded.corpus.encoder, encoder.sha256, encoder.shape, learned.offsets, learned.pieces
        )
    return EncodedCorpus(
        name=dataset,
        slug=slugify(dataset),
        source="made for ROAR",
        fingerprint="",
        class_names=loaded.class_names,
        max_len=loaded.max_len,
        vocabulary_bytes=pack_vocabulary(loaded.vocabulary),
        train=splits["train"],
        dev=splits["dev"],
        test=splits.get("test"),
        counts={"vocabulary": loaded.words_known},
        pieces=pieces,
    )


def without_tokens(corpus: EncodedCorpus, scores: Scores, k: float) -> EncodedCorpus:
    """The corpus whose texts have lost their q(k) tokens of the highest scores.

    Splits without scores stay whole. The vocabulary stays too, with words that may be gone.
    """
    left: dict[str, Any] = {}
    for name, values in scores.items():
        split = corpus.split(name)
        ranks, counts = rank_tokens(values, split.offsets), deletion_counts(split.lengths, k)
        left[name] = remove_tokens(split, without_top(ranks, split.offsets, counts))
    # Its texts are others now: what is kept under the fingerprint is not theirs.
    return replace(corpus, **left, fingerprint="", counts={"vocabulary": corpus.vocabulary_size})


def roar_metrics(roar: Sequence[RoarScores]) -> list[MeasuredMetric]:
    """Rows of the metrics, named ``roar@K``, K in percent."""
    return [
        MeasuredMetric(
            name=f"roar@{100 * one.k:g}",
            label=f"ROAR({100 * one.k:g})",
            value=one.roar,
            se=None if one.only_run is None else one.only_run.roar_se,
            unit="points",
            direction="higher",
            mode=MODE,
            note=f"{len(one.runs)} seeds, 95 % interval {one.roar_low:.2f} to {one.roar_high:.2f}"
            if one.only_run is None
            else f"p {one.only_run.mcnemar_p:.1g}",
        )
        for one in roar
    ]


def _run(seed: int, right_top: Right, right_random: Right) -> RoarRun:
    return RoarRun(
        seed=seed,
        accuracy_top=srs.accuracy(right_top),
        accuracy_random=srs.accuracy(right_random),
        roar=srs.srs(right_random, right_top),
        roar_se=srs.srs_se(right_random, right_top),
        mcnemar_p=srs.mcnemar_exact_p(right_random, right_top),
    )


def _over_seeds(k: float, realised: float, original: float, runs: list[RoarRun]) -> RoarScores:
    interval = t_interval([run.roar for run in runs])
    return RoarScores(
        k=k,
        realised_share=realised,
        accuracy_original=original,
        accuracy_top=float(np.mean([run.accuracy_top for run in runs])),
        accuracy_random=float(np.mean([run.accuracy_random for run in runs])),
        roar=float(np.mean([run.roar for run in runs])),
        roar_low=None if interval is None else interval.low,
        roar_high=None if interval is None else interval.high,
        runs=tuple(runs),
    )
