"""Train a model further on texts with random deletions, then judge its rankings on what became.

F-Fidelity of Zheng et al. (2024), arXiv 2410.02970. SRS, comprehensiveness and sufficiency ask a
model about shortened texts; a fall may be due to their being unlike any that it was trained on. The
rankings stay those of the model before; the one after alone predicts. One training serves every
ranking and k, where ROAR takes two for each.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from safr_study.checkpoint.model_files import LoadedModel
from safr_study.data import EncodedCorpus, SplitName
from safr_study.errors import BadInput, TrialFailure
from safr_study.evaluation import srs
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import measured_scores, token_scores
from safr_study.evaluation.srs import delete_and_score
from safr_study.model import Classifier
from safr_study.records import EpochReport
from safr_study.records.masked import MASKED, MaskedRun, MaskedTraining
from safr_study.records.scores import Values
from safr_study.settings import CONTROLS, EvaluationConfig, Ranking, Wanted, at_k
from safr_study.training import computing, fit
from safr_study.training.augmentation import shortened

EPOCHS = 3
PERCENT = 70.0
"""Largest deletion: at k = 30 % the texts of SRS and those of sufficiency, which lose 70 %, are
both like some of the training."""


@dataclass(frozen=True, slots=True)
class MaskedPlan:
    """What is trained."""

    epochs: int = EPOCHS
    bound: float = PERCENT / 100
    """Largest share of a text's tokens that are deleted, in (0, 1]."""
    seeds: int = 1
    """Trainings: one has the model's own seed, several have 0 .. N-1."""


@dataclass(frozen=True, slots=True)
class MaskedStep:
    """How far it is."""

    training: int
    """Number of the training, from 1."""
    trainings: int
    seed: int
    epochs: int
    report: EpochReport | None = None
    """The epoch that is over; ``None``: the training begins."""


def plan_masked(epochs: int, percent: float, seeds: int, *, asked: bool) -> MaskedPlan:
    """The plan of these options.

    Raises:
        BadInput: a number is none of these, or they are of a training that is not asked for.
    """
    if not asked:
        raise BadInput("masked-training", "its options train nothing; give --masked-training too")
    if not 1 <= percent <= 100:
        raise BadInput(
            "masked-most",
            f"{percent:g} is no percentage of the words; give a number from 1 to 100",
        )
    for option, number in (("masked-epochs", epochs), ("masked-seeds", seeds)):
        if number < 1:
            raise BadInput(option, f"{number} is none; give 1 or more")
    return MaskedPlan(epochs, percent / 100, seeds)


def masked_training(
    loaded: LoadedModel,
    corpus: EncodedCorpus,
    plan: MaskedPlan,
    *,
    split: SplitName,
    shares: tuple[float, ...],
    train_counts: NDArray[np.int64] | None,
    evaluation: EvaluationConfig,
    device: torch.device,
    on_step: Callable[[MaskedStep], None] = lambda _: None,
) -> MaskedTraining:
    """Measure every ranking on the model, and on what further training makes of it.

    Every text of each epoch loses a share of its tokens that is uniform up to the plan's bound, see
    `shortened`; the state is chosen by dev texts that were shortened likewise. All other settings
    are those of the model's training. Equal arguments give equal numbers on the CPU.

    Args:
        loaded: the model; left as it is.
        corpus: the whole texts, by the model's words.
        plan: how much of what.
        split: measured on.
        shares: k of the deletions, each in (0, 1].
        train_counts: `[V]`, of the ranking by ``inverse_frequency``; ``None`` leaves it out.
        evaluation: how to measure.
        device: of the model and its training.
        on_step: called when a training begins and after each of its epochs.

    Raises:
        BadInput: a deletion would not shorten a text.
        TrialFailure: a loss or a logit is not finite.
    """
    if evaluation.mode != "remove":
        raise BadInput(
            "masked-training",
            f"trains on texts from which words are removed, and mode {evaluation.mode!r} removes "
            "none; give --mode remove",
        )
    config, texts = loaded.config, corpus.split(split)
    pad_to = corpus.max_len if config.preset == "reference" else None

    def predictor(model: Classifier) -> Predictor:
        return Predictor(model, evaluation.batch_size, pad_to, device)

    def measured(model: Classifier) -> tuple[float, dict[str, Values]]:
        of = predictor(model)
        full = of.logits(texts)
        found: dict[str, Values] = {
            name: {
                at_k(metric, k): deleted[at_k(metric, k)]
                for k in shares
                for deleted in (
                    delete_and_score(
                        of, texts, evaluation, Wanted(alone=True), scores=scores, k=k, full=full
                    ).values,
                )
                for metric in MASKED
            }
            for name, scores in rankings.items()
        }
        return srs.accuracy(full.argmax(axis=1) == texts.labels), found

    with computing(config.threads):
        of = predictor(loaded.model)
        wanted: set[Ranking] = {"capacity", "keep_probability", "norm"}
        logits, own = measured_scores(of, texts, wanted, evaluation.capacity_layer)
        rankings: Mapping[Ranking, NDArray[np.float64]] = token_scores(
            of, texts, ("capacity", *CONTROLS), measured=own, train_counts=train_counts,
            seed=evaluation.seed, full=logits.argmax(axis=1),
        )  # fmt: skip
        accuracy, before = measured(loaded.model)
    seeds = range(plan.seeds) if plan.seeds > 1 else (config.seed,)
    runs = []
    for number, seed in enumerate(seeds, start=1):
        step = MaskedStep(number, len(seeds), seed, plan.epochs)
        on_step(step)
        augmented = config.model_copy(
            update={
                "deletion_augmentation": 1.0,
                "deletion_bound": plan.bound,
                "seed": seed,
                "epochs": plan.epochs,
                "patience": plan.epochs,
            }
        )
        dev = shortened(corpus.dev, share=1.0, bound=plan.bound, seed=seed, epoch=0)
        try:
            fitted = fit(
                augmented,
                replace(corpus, dev=dev),
                device=device,
                model=copy.deepcopy(loaded.model),
                on_epoch=lambda report, step=step: on_step(replace(step, report=report)),  # type: ignore[misc]
            )
            with computing(config.threads):
                right, after = measured(fitted.model)
        except TrialFailure as error:
            raise TrialFailure(f"masked training with seed {seed}: {error}") from error
        runs.append(MaskedRun(seed, fitted.best_epoch, right, after))
    return MaskedTraining(
        bound=plan.bound,
        epochs=plan.epochs,
        learning_rate=config.learning_rate,
        shares=shares,
        accuracy=accuracy,
        rankings=before,
        runs=tuple(runs),
    )
