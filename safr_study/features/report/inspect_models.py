"""Look closely at a few models of a study: deletion curves, and explanations of dev texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from safr_study.data import (
    Corpus,
    EncodedCorpus,
    EncodedSplit,
    Text,
    each_text,
    encoded_corpus,
    load_corpus,
)
from safr_study.errors import SafrError
from safr_study.evaluation.deletion import sample_rows, sample_texts
from safr_study.evaluation.explanation import explain_text
from safr_study.evaluation.scoring import evaluate_model
from safr_study.features.report.load_trial import load_trial
from safr_study.features.report.scorecard import Scorecard, scorecard
from safr_study.home import Home
from safr_study.records import StudyResult, TrialRecord
from safr_study.records.explanation import Explanation
from safr_study.records.scores import Scores
from safr_study.settings import CURVE_SHARES, Objective, StudySpec, Wanted
from safr_study.training import computing

MOST_MODELS = 6
EXAMPLE_WORDS = (5, 30)
"""Shortest and longest example, in words: a reader sees it whole."""
_DRAWN = 500
"""Dev texts among which examples are looked for."""
DEFAULT_K = 0.3
"""k of the scorecard of a study without a metric of a deletion among its objectives."""
CURVE_TOKENS = 20_000
"""Dev tokens behind a curve, at most about so many: it takes seconds."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Example:
    """A dev text that every chosen model is asked about."""

    row: int
    """Row in the dev split, from 0."""
    label: str
    """Its class."""
    text: Text


@dataclass(frozen=True, slots=True, eq=False)
class InspectedModel:
    """One model of a study."""

    trial: int
    role: str
    """Reason for its choice: ``knee``, ``compromise``, ``best-srs``, the name of a baseline."""
    curve: Scores | None = None
    """Scores on dev texts, deleted at the k of the curves; ``None``: not measured."""
    explanations: tuple[Explanation, ...] = ()
    """One for each example, in their order; empty: not made."""
    problem: str | None = None
    """Reason why something is missing, a sentence."""

    @property
    def name(self) -> str:
        """Name in a legend: ``knee #9``."""
        return f"{self.role} #{self.trial}"


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts that the models were shown."""

    texts: tuple[Example, ...] = ()
    rule: str = ""
    """Rule of their choice, a sentence."""
    curve_texts: int = 0
    """Number of dev texts that the curves are measured on."""
    dev_texts: int = 0
    """Dev texts in all."""
    class_names: tuple[str, ...] = ()
    """Classes by number; empty: not read."""
    problem: str | None = None
    """Reason why there are none, a sentence."""


def chosen_trials(result: StudyResult) -> dict[int, str]:
    """The knee or compromise, the baselines, the best of each objective: trial number and role.

    The first of equals in the ranking; a saturated trial is never the best.
    """
    best = result.choice
    chosen = {} if best is None else {best.trial.number: str(best.choice)}
    for ranked in result.ranked:
        if ranked.trial.baseline is not None:
            chosen.setdefault(ranked.trial.number, ranked.trial.baseline)
    sound = [ranked.trial for ranked in result.front if not ranked.trial.saturated]
    for axis, name in enumerate(result.objectives):
        objective = Objective(name=name)
        first = max(sound, key=lambda t: objective.sign * (t.values or ())[axis], default=None)
        if first is not None:
            chosen.setdefault(first.number, f"best {objective.label}")
    return dict(list(chosen.items())[:MOST_MODELS])


def inspect_models(
    spec: StudySpec,
    corpus_fingerprint: str,
    result: StudyResult,
    home: Home,
    *,
    texts: int,
    causes: bool = False,
    say: Say = lambda _: None,
) -> tuple[tuple[InspectedModel, ...], Examples, Scorecard | None]:
    """Measure and explain with the chosen models, on the CPU; then the scorecard.

    What is missing is said, not raised: a report of an old study is made all the same.

    Args:
        spec: the study's settings.
        corpus_fingerprint: of the texts that it was begun with.
        result: the ranked study.
        home: where encoded corpora are cached.
        texts: examples wanted.
        causes: whether the scorecard has what neurons cause, and NAOPC, which takes long.
        say: told what is done next.
    """
    chosen = chosen_trials(result)
    if not chosen:
        return (), Examples(), None
    say("reading the data")
    try:
        encoded = encoded_corpus(spec.corpus, home.corpora)
        corpus = load_corpus(spec.corpus)
    except SafrError as error:
        missing = (
            "The study's data are not at hand, so there are no curves over k and no example "
            f"explanations ({error})."
        )
        return (), Examples(problem=missing), None
    if encoded.fingerprint != corpus_fingerprint:
        missing = (
            "The study's data have changed since it was run, so there are no curves over k and no "
            "example explanations."
        )
        return (), Examples(problem=missing), None
    split = _curve_split(encoded, spec)
    found = example_texts(corpus, texts, seed=spec.evaluation.seed)
    trials = {ranked.trial.number: ranked.trial for ranked in result.ranked}
    models = []
    for place, (number, role) in enumerate(chosen.items(), start=1):
        say(f"model {place} of {len(chosen)}: {role}, trial {number}")
        models.append(_look_at(trials[number], role, spec, encoded, split, found))
    examples = Examples(
        texts=tuple(found),
        rule=_rule(len(found)),
        curve_texts=split.examples,
        dev_texts=encoded.dev.examples,
        class_names=encoded.class_names,
    )
    k = next((o.k for o in spec.objectives if o.k is not None), DEFAULT_K)
    card = scorecard(result, encoded, split, k=k, causes=causes, say=say)
    return tuple(models), examples, card


def _look_at(
    trial: TrialRecord,
    role: str,
    spec: StudySpec,
    corpus: EncodedCorpus,
    split: EncodedSplit,
    examples: Sequence[Example],
) -> InspectedModel:
    reason = ""
    try:
        loaded = load_trial(trial)
    except SafrError as error:
        loaded, reason = None, f" ({error})"
    if loaded is None:
        return InspectedModel(
            trial.number,
            role,
            problem=f"The model of trial {trial.number} ({role}) is no longer there, or is not "
            f"what the ledger knows: no curve and no explanation of it{reason}.",
        )
    # The objectives' own k too: there the curve can be compared with the ledger.
    own = {objective.k for objective in spec.objectives if objective.k is not None}
    shares = tuple(sorted({share for share in CURVE_SHARES if share} | own))
    try:
        with computing(loaded.config.threads):
            curve = evaluate_model(
                loaded.reading(corpus),
                split.as_read(loaded.config.texts),
                split_name="dev",
                config=loaded.evaluation,
                want=Wanted(shares=shares),
                preset=loaded.config.preset,
                device=torch.device("cpu"),
            ).scores
            explanations = tuple(
                explain_text(loaded, example.text, reference=f"trial {trial.number}")
                for example in examples
            )
    except SafrError as error:
        problem = f"The model of trial {trial.number} ({role}) could not be looked at ({error})."
        return InspectedModel(trial.number, role, problem=problem)
    return InspectedModel(trial.number, role, curve, explanations)


def _curve_split(corpus: EncodedCorpus, spec: StudySpec) -> EncodedSplit:
    mean = max(1.0, float(corpus.dev.lengths.mean()))
    return sample_texts(corpus.dev, max(1, int(CURVE_TOKENS / mean)), seed=spec.evaluation.seed)


def example_texts(corpus: Corpus, count: int, *, seed: int) -> list[Example]:
    """Dev texts: the first of a fixed draw with few words, one of each class in turn.

    Args:
        corpus: with its texts.
        count: wanted; fewer where there are no more.
        seed: ``EvaluationConfig.seed``.
    """
    rows = sample_rows(corpus.dev.examples, _DRAWN, seed).tolist()
    given = corpus.dev.rows
    lengths = {row: sum(len(text.split()) for text in each_text([given[row]])) for row in rows}
    least, most = EXAMPLE_WORDS
    fitting = [row for row in rows if least <= lengths[row] <= most]
    if len(fitting) < count:
        # A data set of long texts: its shortest ones.
        fitting = sorted(rows, key=lambda row: (lengths[row] < least, lengths[row], row))
    waiting: dict[int, list[int]] = {label: [] for label in range(len(corpus.class_names))}
    for row in fitting:
        waiting[int(corpus.dev.labels[row])].append(row)
    chosen: list[int] = []
    while len(chosen) < count and any(waiting.values()):
        for queue in waiting.values():
            if queue and len(chosen) < count:
                chosen.append(queue.pop(0))
    return [
        Example(row, corpus.class_names[int(corpus.dev.labels[row])], given[row]) for row in chosen
    ]


def _rule(count: int) -> str:
    least, most = EXAMPLE_WORDS
    return (
        f"{count} dev texts, chosen before any model was asked: of a fixed draw the first with "
        f"{least} to {most} words (where there are too few, the shortest), one of each class in "
        "turn. Each model shows its own ranking of the words; point at a word for its numbers."
    )
