"""What a study has found, in a sentence: nothing beyond its baselines, or a front's choice."""

from __future__ import annotations

from safr_study.records import StudyResult
from safr_study.text import plural

COMPROMISE = "the member whose worst scaled objective is best"
"""What a compromise is."""


def verdict(result: StudyResult) -> str | None:
    """The first sentence of a result that found nothing; ``None``: it found something.

    That is where no trial beats the baselines, or the majority class.
    """
    if result.unbeaten is None:
        return None
    if result.unbeaten == "majority":
        scores = [one.trial.scores for one in result.ranked if one.trial.scores is not None]
        best = max(one.accuracy for one in scores)
        return (
            f"No trial beats the majority class: the best accuracy is {best:.2f}, and always "
            f"naming the largest class has {scores[0].value('majority_accuracy'):.2f}. No alias "
            "points to such a model; train longer, or on more texts."
        )
    searched = [one for one in result.trials if one.baseline is None and one.counts]
    if not searched:
        return "Nothing was searched yet: only baselines have ended, and no alias points to them."
    names = [one.trial.baseline for one in result.front if one.trial.baseline is not None]
    doubtful = any(one.trial.saturated and one.trial.baseline is None for one in result.front)
    return (
        f"No trial beats the baselines: the front is {' and '.join(names)}, and of the "
        f"{plural(len(searched), 'searched trial')} none adds to it"
        f"{' but saturated ones' if doubtful else ''}. No alias points to such a model; search "
        "longer, or another space."
    )


def choice_note(result: StudyResult) -> str | None:
    """That a front has no knee, and what its compromise is; ``None``: it has one, or neither."""
    chosen = result.compromise
    if chosen is None:
        return None
    return (
        f"The front has no knee: {no_knee(result)}. Its compromise is trial {chosen.trial.number} "
        f"({chosen.trial.label}), {COMPROMISE}."
    )


def no_knee(result: StudyResult) -> str:
    """Why a front has no knee, as a half-sentence."""
    points = len({ranked.objectives for ranked in result.front})
    if points < 3:
        return f"it has only {'one point' if points == 1 else 'two points'}"
    if len(result.objectives) == 2:
        return "no member lies above the line through its ends"
    return "no member lies farther towards the ideal than its ends"
