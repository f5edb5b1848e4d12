"""The scorecard of a study: which models it has, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.errors import SafrError
from safr_study.evaluation.scoring import evaluate_model
from safr_study.features.report.load_trial import load_trial
from safr_study.records import RankedTrial, Scores, StudyResult
from safr_study.render.scorecard import scorecard_sentences
from safr_study.settings import RIVALS_OFF, Value, Wanted
from safr_study.training import computing

_METHODS = {"lambda_l1": "L1", "lambda_ortho": "orthogonality", "ffn_topk": "Top-K"}


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Models of a study by every measure of an explanation."""

    k: float
    """k of the deletions, in (0, 1]."""
    texts: int
    """Dev texts measured on: those of the deletion curves."""
    causes: bool
    """Whether neurons were taken away, and orders of words looked for."""
    models: tuple[tuple[str, Scores], ...] = ()
    """Role and number, ``L1 #9``."""
    sentences: tuple[str, ...] = ()
    """Where the measures disagree."""
    problems: tuple[str, ...] = ()
    """Models that could not be measured, a sentence each."""


def method(parameters: Mapping[str, Value | None]) -> str | None:
    """What shapes a trial's neurons: ``SAFR``, a rival, or ``None`` for nothing or several."""
    active = [
        name
        for setting, name in _METHODS.items()
        if parameters.get(setting, RIVALS_OFF[setting]) != RIVALS_OFF[setting]
    ]
    if any(parameters.get(name) for name in ("lambda_imp", "lambda_inter")):
        active.append("SAFR")
    return active[0] if len(active) == 1 else None


def scorecard_trials(result: StudyResult) -> dict[str, RankedTrial]:
    """The knee or compromise, the baselines, the best of SAFR alone and of each rival alone.

    The best is the first in the ranking that is not saturated. By role and number; each trial is
    there once.
    """
    roles: dict[str, RankedTrial] = {}
    if (choice := result.choice) is not None:
        roles[str(choice.choice)] = choice
    for ranked in result.ranked:
        trial = ranked.trial
        if trial.baseline is not None:
            roles.setdefault(trial.baseline, ranked)
        elif not trial.saturated and (found := method(trial.parameters)) is not None:
            roles.setdefault(found, ranked)
    once = {ranked.trial.number: role for role, ranked in reversed(roles.items())}
    return {
        f"{role} #{ranked.trial.number}": ranked
        for role, ranked in roles.items()
        if once[ranked.trial.number] == role
    }


def scorecard_wanted(k: float, *, causes: bool) -> Wanted:
    """What is measured of each model.

    Args:
        k: of the deletions, in (0, 1].
        causes: whether also what neurons cause, and NAOPC.
    """
    return Wanted(
        shares=(k,),
        random=True,
        bottom=True,
        alone=True,
        superposition=True,
        agreements=("capacity",),
        causes=(k,) if causes else (),
        naopc=causes,
    )


def scorecard(
    result: StudyResult,
    corpus: EncodedCorpus,
    split: EncodedSplit,
    *,
    k: float,
    causes: bool,
    say: Callable[[str], None] = lambda _: None,
) -> Scorecard:
    """Measure the models, on the CPU; what is missing is said, not raised.

    About fifteen passes over the texts for each model. With ``causes`` neurons are taken away and
    orders of words looked for too, which takes about as long as an epoch of training.

    Args:
        result: the ranked study.
        corpus: its data.
        split: dev texts.
        k: of the deletions, in (0, 1].
        causes: whether to measure what neurons cause, and NAOPC.
        say: told what is done next.
    """
    want = scorecard_wanted(k, causes=causes)
    chosen = scorecard_trials(result)
    models: list[tuple[str, Scores]] = []
    problems = []
    for place, (name, ranked) in enumerate(chosen.items(), start=1):
        say(f"scorecard, model {place} of {len(chosen)}: {name}")
        try:
            loaded = load_trial(ranked.trial)
            if loaded is None:
                problems.append(f"{name} is not on the scorecard: its model is no longer there.")
                continue
            texts = loaded.config.texts
            with computing(loaded.config.threads):
                model = loaded.reading(corpus)
                scores = evaluate_model(
                    model,
                    split.as_read(texts),
                    split_name="dev",
                    config=loaded.evaluation,
                    want=want,
                    preset=loaded.config.preset,
                    device=torch.device("cpu"),
                    train=corpus.train.as_read(texts),
                ).scores
        except SafrError as error:
            problems.append(f"{name} is not on the scorecard ({error}).")
            continue
        models.append((name, scores))
    baselines = [name for name, _ in models if chosen[name].trial.baseline is not None]
    sentences = scorecard_sentences(models, k, baselines[0]) if baselines else []
    return Scorecard(k, split.examples, causes, tuple(models), tuple(sentences), tuple(problems))
