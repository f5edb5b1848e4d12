"""Evaluate one trained model on one split of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from safr_study.checkpoint.model_files import load_model
from safr_study.data import Split, SplitName, load_corpus
from safr_study.errors import BadInput
from safr_study.evaluation.rankings import word_counts
from safr_study.evaluation.scoring import evaluate_model
from safr_study.features.masked_training import MaskedPlan, MaskedStep, masked_training
from safr_study.features.roar import (
    RoarPlan,
    RoarScores,
    RoarStep,
    capacity_scores,
    model_corpus,
    roar_by,
)
from safr_study.features.study_base.model_texts import model_split
from safr_study.features.study_base.stores import Stores, model_folder
from safr_study.records import Scores
from safr_study.records.masked import MaskedTraining
from safr_study.settings import (
    CapacityLayer,
    CorpusSpec,
    DeletionMode,
    EvaluationConfig,
    Sides,
    everything,
    layer_place,
)
from safr_study.training import computing, pick_device


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's scores, and what they were measured on."""

    model: str
    dataset: str
    split: str
    preset: str
    capacity_layer: str
    draws: int
    mode: str
    """How tokens were deleted."""
    sha256: str
    """Digest of the model's weights."""
    scores: Scores
    recorded: Scores | None
    """What the study measured on dev, from the checkpoint."""
    class_names: tuple[str, ...] = ()
    """Names in the order of the confusion matrix."""
    roar: tuple[RoarScores, ...] = ()
    """One per k that was retrained, ascending."""
    masked: MaskedTraining | None = None
    """Rankings on what training on random deletions made of the model; ``None``: not asked for."""


def evaluate(
    reference: str,
    spec: CorpusSpec | None,
    stores: Stores,
    *,
    split: SplitName = "dev",
    mode: DeletionMode | None = None,
    delete: Sides | None = None,
    capacity_layer: CapacityLayer | None = None,
    quick: bool = False,
    roar: RoarPlan | None = None,
    masked: MaskedPlan | None = None,
    on_begin: Callable[[int], None] = lambda _: None,
    on_part: Callable[[str], None] = lambda _: None,
    on_roar: Callable[[RoarStep], None] = lambda _: None,
    on_masked: Callable[[MaskedStep], None] = lambda _: None,
) -> Evaluation:
    """Every metric of one model.

    Args:
        reference: a model's folder, or ``NAME@alias`` or ``models:/NAME@alias`` in the registry.
        spec: the data; ``None``: those it was trained for.
        stores: where the registry is.
        split: ``dev`` or ``test``.
        mode: how to delete; ``None``: as the model's study did.
        delete: words of which texts of pairs; ``None``: as there.
        capacity_layer: where capacity is measured; ``None``: as the model's study did.
        quick: without leave-one-out, the other rankings, the layers, and what neurons cause.
        roar: what to retrain, on the data's train texts; ``None``: nothing.
        masked: how to train further on texts with random deletions; ``None``: not.
        on_begin: called with the number of texts, once model and data are there.
        on_part: called with the name of each part of the work as it begins.
        on_roar: called when a retraining begins and after each of its epochs.
        on_masked: the same of the trainings of ``masked``.

    Raises:
        BadInput: there is no such model, split or block, or its classes are others.
        CorruptCheckpoint: the model's files are not whole.
        TrialFailure: what the model, or a retrained one, computes is not finite.
    """
    device = pick_device(1.0)
    with model_folder(reference, stores) as folder:
        loaded = load_model(folder, device=device)
    asked = {"mode": mode, "delete": delete, "capacity_layer": capacity_layer}
    given = {name: value for name, value in asked.items() if value is not None}
    config = EvaluationConfig.parse({**loaded.evaluation.model_dump(), **given})
    layer_place(config.capacity_layer).index(loaded.blocks)
    used = _same_data(loaded.corpus, spec)
    on_part(f"reading {used.dataset}")
    corpus = load_corpus(used)
    texts = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}[split]
    if texts is None:
        raise BadInput("split", f"{used.dataset} has no {split} split; use dev")
    if config.delete != "both" and not loaded.pairs:
        raise BadInput("delete", "the model is one of single texts; leave it out")
    if config.delete != "both":
        for option, asked_for in (("roar", roar), ("masked-training", masked)):
            if asked_for is not None:
                raise BadInput(option, "removes words of both texts of a pair; leave --delete out")
    recorded = () if loaded.scores is None else loaded.scores.shares
    used_splits: dict[SplitName, Split] = {"train": corpus.train, "dev": corpus.dev, split: texts}
    encoded = {
        name: model_split(given, corpus.class_names, loaded) for name, given in used_splits.items()
    }
    want = everything(recorded, quick=quick)
    # The model's own training texts: those of other data say nothing about it.
    own = encoded["train"] if used.dataset == loaded.corpus.dataset else None
    counts = None if own is None else word_counts(own, loaded.words_known)
    on_begin(texts.examples)
    with computing(loaded.config.threads):
        scores = evaluate_model(
            loaded.model,
            encoded[split],
            split_name=split,
            config=config,
            want=want,
            preset=loaded.config.preset,
            device=device,
            train_counts=counts,
            train=own,
            on_part=on_part,
        ).scores
    further = None
    if masked is not None:
        further = masked_training(
            loaded,
            model_corpus(loaded, encoded),
            masked,
            split=split,
            shares=want.control_shares,
            train_counts=counts,
            evaluation=config,
            device=device,
            on_step=on_masked,
        )
    retrained: tuple[RoarScores, ...] = ()
    if roar is not None:
        retrained = roar_by(
            capacity_scores(loaded, encoded, roar, config, device),
            loaded.config,
            model_corpus(loaded, encoded),
            split=split,
            original=scores.accuracy,
            plan=roar,
            evaluation=config,
            device=device,
            on_step=on_roar,
        )
    return Evaluation(
        model=reference,
        dataset=used.dataset,
        split=split,
        preset=loaded.config.preset,
        capacity_layer=config.capacity_layer,
        draws=config.draws,
        mode=config.deletion,
        sha256=loaded.ref.sha256,
        scores=scores,
        recorded=loaded.scores,
        class_names=loaded.class_names,
        roar=retrained,
        masked=further,
    )


def _same_data(trained: CorpusSpec, asked: CorpusSpec | None) -> CorpusSpec:
    """The data asked for, read as in training where it is the same data set.

    The splits' seed and the limits decide which texts are dev: they are the model's then.
    """
    if asked is None or asked.dataset == trained.dataset:
        columns = {} if asked is None else asked.model_dump(exclude_unset=True)
        return trained.model_copy(update=columns)
    return asked.model_copy(update={"max_len": trained.max_len})
