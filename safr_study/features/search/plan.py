"""What a search is about to do, and whether it may: for a dry run, and before the first trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from safr_study.cluster.slots import NodeCapacity, TrialSlots, plan_slots
from safr_study.data import EncodedCorpus, check_concerns, describe, encoded_corpus
from safr_study.errors import BadInput
from safr_study.evaluation.deletion import deletion_counts
from safr_study.features.search.publish import corpus_facts
from safr_study.features.study_base.cost import Cost, estimate, measured_objectives
from safr_study.features.study_base.provenance import provenance
from safr_study.features.study_base.results import find_ledger, load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.preview import first_trials
from safr_study.pareto.reference_point import reference_point
from safr_study.records import TrialRecord, TrialState, to_plain
from safr_study.sampling.fixed_trials import planned_trials
from safr_study.sampling.observations import warm_trials
from safr_study.settings import StudySpec, layer_place
from safr_study.settings.metrics import CURVE_SHARES
from safr_study.settings.parameters import samples

LONG = 8 * 3600.0
"""Seconds above which the plan says what would bring them down."""
PROBED_FROM = 600.0
"""Seconds, as guessed, from which on some steps are tried before a study begins."""
_FEW_EPOCHS, _FEW_TRIALS, _FEW_TEXTS = 8, 12, 5_000
FIRST_TRIALS = 8
"""Shown by a dry run: what a sampler draws after that depends on what the first ones find."""
PER_TRIAL = "see each trial"
"""Device of a study: every trial's run names its own."""


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What is about to be done."""

    spec: StudySpec
    corpus: str
    """One line about the data."""
    unknown: float
    """Share of the words on dev that are not in the vocabulary, percent."""
    trials: int
    """Trials to finish in all."""
    done: int
    """Complete or stopped early already."""
    unfinished: int
    """Begun, and gone on with."""
    reference_point: tuple[float, ...]
    slots: TrialSlots
    cost: Cost
    """Cost of the remaining trials."""
    cheaper: tuple[tuple[str, float], ...] = ()
    """Options for a study above `LONG`, and the seconds that it would take with each."""
    warnings: tuple[str, ...] = ()
    """Sentences on what is doubtful about the data."""
    first: tuple[TrialRecord, ...] = ()
    """The trials that would begin first, where that was asked."""


def plan_study(
    spec: StudySpec, stores: Stores, *, cpus: float, gpus: float, fresh: bool = False
) -> StudyPlan:
    """What ``search`` would do on a machine of this size; nothing is written but caches.

    Raises:
        BadInput: as ``search``.
    """
    corpus = encoded_corpus(spec.corpus, stores.home.corpora)
    check_measurable(spec, corpus)
    ledger = None if fresh else find_ledger(spec.name, stores)
    if ledger is not None:
        check_same_study(ledger, spec, corpus.fingerprint)
    else:
        check_concerns(corpus.concerns, spec.corpus)
    slots = plan_slots(spec.resources, [NodeCapacity(cpus, gpus)])
    plan = study_plan(spec, corpus, slots, ledger, here=stores.address is None and not gpus)
    if ledger is not None:
        begun = [t for t in ledger.trials() if t.state is TrialState.RUNNING]
        return replace(plan, first=tuple(begun))
    facts, known = study_facts(spec, corpus), warm_start_trials(spec, stores)
    return replace(plan, first=tuple(first_trials(spec, facts, FIRST_TRIALS, known)))


def check_same_study(ledger: Ledger, spec: StudySpec, corpus_fingerprint: str) -> None:
    """A study goes on only with the settings and the data that it began with.

    Raises:
        BadInput: they are others; says which.
    """
    before, now = ledger.spec, spec
    same_texts = ledger.facts.corpus_fingerprint == corpus_fingerprint
    place, given = Path(before.corpus.dataset), Path(now.corpus.dataset)
    if same_texts and given.is_absolute() and (place.is_absolute() or str(place) == given.name):
        # A file that was moved, a folder above it, or a study that was imported, which has its name
        # alone: its texts are what they were.
        moved = {"dataset": before.corpus.dataset}
        now = now.model_copy(update={"corpus": now.corpus.model_copy(update=moved)})
    different = _differences(
        before.settings_that_change_numbers(), now.settings_that_change_numbers()
    )
    if different:
        raise BadInput(
            "study",
            f"{spec.name!r} exists with other settings ({'; '.join(different[:4])}); repeat its "
            "command to go on with it, begin anew with --fresh, or choose another --study",
        )
    if not same_texts:
        raise BadInput(
            "dataset",
            f"the data of study {spec.name!r} changed since it began; give the old data back, "
            "begin anew with --fresh, or choose another --study",
        )


def check_measurable(spec: StudySpec, corpus: EncodedCorpus) -> None:
    """Refuse what the data, or the model of some trial, cannot have.

    Raises:
        BadInput: an objective needs a gold rationale, two classes, pairs, groups of texts, or
            texts of more words; or capacity is to be measured in a block that is not there.
    """
    layer_place(spec.evaluation.capacity_layer).index(_fewest_blocks(spec, corpus))
    for metric in measured_objectives(spec):
        if "rationale" in metric.measure.needs and corpus.dev.rationale is None:
            raise BadInput(
                "objective",
                f"{metric.name} needs texts with a gold rationale, which {corpus.name} has not; "
                "choose another metric, or sst2-treebank or planted",
            )
        if "pairs" in metric.measure.needs and not corpus.pairs:
            raise BadInput(
                "objective",
                f"{metric.name} needs pairs of texts, and {corpus.name} has single ones; choose "
                "another metric, for example srs@30, or give --text-column twice",
            )
        groups = corpus.dev.groups
        if "groups" in metric.measure.needs and (
            groups is None or len(np.unique(groups)) == len(groups)
        ):
            raise BadInput(
                "objective",
                f"{metric.name} needs dev texts that belong together, which {corpus.name} has not; "
                "name the column that they share with --group-column, or choose another metric",
            )
        most, lengths = spec.evaluation.naopc_words, corpus.dev.lengths
        if "naopc" in metric.measure.needs and not ((lengths > 1) & (lengths <= most)).any():
            raise BadInput(
                "objective",
                f"{metric.name} needs dev texts of 2 to {most} words, which {corpus.name} has not; "
                "choose another metric, for example comprehensiveness_aopc",
            )
        share = max(CURVE_SHARES) if "curve" in metric.measure.needs else metric.k
        if share is not None and not deletion_counts(lengths, share).any():
            raise BadInput(
                "objective",
                f"{metric.name} deletes the top {100 * share:g} % of a text's words, which is none "
                f"in all dev texts of {corpus.name}, as they are too short; choose another metric, "
                "or give longer texts",
            )
        if "two_classes" in metric.measure.needs and len(corpus.class_names) != 2:
            raise BadInput(
                "objective",
                f"{metric.name} needs data of two classes, and {corpus.name} has "
                f"{len(corpus.class_names)}; choose another metric, for example macro_f1",
            )


def _fewest_blocks(spec: StudySpec, corpus: EncodedCorpus) -> int:
    if corpus.pieces is not None:
        return corpus.pieces.shape.layers
    space, template = spec.space, spec.train.shape.layers
    usual = [space.fixed.get("layers", template)]
    if (parameter := space.parameters.get("layers")) is not None:
        usual = [*samples(parameter), *([template] if parameter.when else [])]
    every = [*usual, *(one.values.get("layers", usual[0]) for one in space.baselines)]
    return min(int(blocks) for blocks in every)


def study_facts(spec: StudySpec, corpus: EncodedCorpus) -> StudyFacts:
    """What is fixed when a study over these data begins."""
    return StudyFacts(
        corpus_fingerprint=corpus.fingerprint,
        slug=corpus.slug,
        reference_point=reference_point(
            (objective.measure for objective in spec.objectives), corpus.class_counts("dev")
        ),
        provenance=to_plain(provenance(corpus.fingerprint, device=PER_TRIAL)),
        corpus=corpus_facts(corpus),
    )


def _differences(before: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [*before, *(key for key in now if key not in before)]
        return [
            difference
            for key in keys
            for difference in _differences(
                before.get(key), now.get(key), f"{path}.{key}" if path else str(key)
            )
        ]
    return [] if before == now else [f"{path}: {before} before, {now} now"]


def warm_start_trials(spec: StudySpec, stores: Stores) -> list[Any]:
    """Trials of the study that a new one starts from; none where it starts from nothing."""
    if spec.warm_start is None:
        return []
    with load_ledger(spec.warm_start, stores) as known:
        return warm_trials(known.study, known.spec, spec)


def study_plan(
    spec: StudySpec,
    corpus: EncodedCorpus,
    slots: TrialSlots,
    ledger: Ledger | None,
    *,
    here: bool = False,
    on_probe: Callable[[], None] = lambda: None,
) -> StudyPlan:
    """What is about to be done.

    Args:
        spec: the study.
        corpus: encoded.
        slots: of its trials.
        ledger: of the study, if it is there.
        here: whether its trials run on this machine's processor: some steps of a long study are
            tried on it.
        on_probe: called before that.
    """
    trials = ledger.trials() if ledger is not None else []
    total = planned_trials(spec)
    done = min(total, done_count(trials))
    cost = estimate(spec, corpus, slots, total - done)
    rate = None
    if here and total > done and cost.seconds > PROBED_FROM:
        # torch is slow to import, and who runs a small study knows soon enough.
        from safr_study.features.study_base.probe import training_rate

        on_probe()
        rate = training_rate(spec, corpus)
        cost = estimate(spec, corpus, slots, total - done, rate)
    return StudyPlan(
        spec=spec,
        corpus=describe(corpus),
        unknown=100.0 * corpus.counts["unknown_dev"] / max(1, corpus.counts["tokens_dev"]),
        trials=total,
        done=done,
        unfinished=sum(trial.state is TrialState.RUNNING for trial in trials),
        reference_point=reference_point(
            (objective.measure for objective in spec.objectives), corpus.class_counts("dev")
        ),
        slots=slots,
        cost=cost,
        cheaper=_cheaper(spec, corpus, slots, total - done, rate) if cost.seconds > LONG else (),
        warnings=(
            *(concern.sentence for concern in corpus.concerns),
            *_other_name(corpus.slug, ledger),
        ),
    )


def _cheaper(
    spec: StudySpec, corpus: EncodedCorpus, slots: TrialSlots, trials: int, rate: float | None
) -> tuple[tuple[str, float], ...]:
    """Options that bring a long study down, each with the time of the study with it."""
    from safr_study.evaluation.deletion import take_texts

    found: list[tuple[str, float]] = []
    epochs, texts = spec.train.epochs, corpus.train.examples

    def offer(option: str, spec: StudySpec, corpus: EncodedCorpus, trials: int) -> None:
        found.append((option, estimate(spec, corpus, slots, trials, rate).seconds))

    if epochs > _FEW_EPOCHS:
        train = spec.train.model_copy(update={"epochs": _FEW_EPOCHS})
        fewer = spec.model_copy(update={"train": train})
        offer(f"--epochs {_FEW_EPOCHS}", fewer, corpus, trials)
    if trials > _FEW_TRIALS:
        offer(f"--trials {_FEW_TRIALS}", spec, corpus, _FEW_TRIALS)
    if texts > _FEW_TEXTS:
        part = take_texts(corpus.train, np.arange(_FEW_TEXTS))
        offer(f"--train-limit {_FEW_TEXTS}", spec, replace(corpus, train=part), trials)
    return tuple(found)


def _other_name(usual: str, ledger: Ledger | None) -> Iterator[str]:
    """Says that other data have the usual name in MLflow, and what these are called there."""
    name = usual if ledger is None else ledger.facts.slug
    if name.startswith(f"{usual}-") and name.removeprefix(f"{usual}-").isdigit():
        yield (
            f"{usual!r} is the name of other data in MLflow, so there these are {name!r}: "
            f"experiment safr/{name}, model safr-{name}; rename the file for a name of its own"
        )


def done_count(trials: Sequence[TrialRecord]) -> int:
    """Number of trials that count: complete, or pruned."""
    return sum(trial.counts for trial in trials)
