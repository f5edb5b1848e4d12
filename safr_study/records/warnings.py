"""What is wrong with a trained trial, in sentences: what was seen, and what to do.

From a trial's epochs and scores alone: what was not measured gives no warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from safr_study.records.run import EpochReport
from safr_study.records.scores import Measure, Scores
from safr_study.records.study import TrialRecord
from safr_study.settings import at_k

INERT_BELOW = 0.01
"""Effective weight of a penalty: with a hundredth of the cross-entropy's gradient it is lost among
the differences between batches."""
CLOSED_BELOW = 0.05
"""Gate openness: one token in twenty is about one word of a sentence of SST-2."""
OPEN_ABOVE = 0.99
"""Gate openness: fewer than one token in a hundred is masked."""
NOISE = 1.96
"""Standard errors of a difference of two accuracies, as if of different texts, that are noise."""
NUMBERS = 12
"""Trials that a sentence names before it counts the others."""

_Penalty = Literal["lambda_imp", "lambda_inter", "vmask_beta", "lambda_l1", "lambda_ortho"]
_Kind = _Penalty | Literal["closed", "open", "saturated"]


class _Warning(NamedTuple):
    kind: _Kind
    seen: float
    """The share that led to it, in [0, 1]."""


def trial_warnings(trial: TrialRecord) -> tuple[str, ...]:
    """A sentence for each thing that is wrong with a trial; meant for one that has ended.

    A penalty is inert if its effective weight was measured in every epoch and stayed under
    ``INERT_BELOW``. The gates are judged by their openness on dev: closed in the chosen epoch, wide
    open in every epoch. Saturation is that of the scores.
    """
    return tuple(_sentence(found.kind, _percent(found.seen)) for found in _warnings(trial))


def warning_names(trial: TrialRecord) -> tuple[str, ...]:
    """The same in a word or two each, for a table: ``lambda_imp inert``, ``gates closed``."""
    return tuple(_NAMES.get(found.kind, f"{found.kind} inert") for found in _warnings(trial))


def study_warnings(trials: Iterable[TrialRecord]) -> tuple[str, ...]:
    """The warnings of many trials: a sentence for each kind, with the numbers of its trials."""
    found: dict[_Kind, dict[int, float]] = {}
    for trial in trials:
        for warning in _warnings(trial):
            found.setdefault(warning.kind, {})[trial.number] = warning.seen
    return tuple(_of_many(kind, found[kind]) for kind in _SENTENCES if kind in found)


def needless_pair(trials: Iterable[TrialRecord]) -> tuple[str, ...]:
    """The sentence on a study over pairs where the second text alone is as accurate as both.

    That is, where the best trial of both is not better by more than the noise of the texts.
    """
    accuracies: dict[bool, list[tuple[Measure, int]]] = {True: [], False: []}
    for trial in trials:
        if trial.scores is not None and "accuracy" in trial.scores.values:
            one = (trial.scores.values["accuracy"], trial.number)
            accuracies[trial.parameters.get("texts") == "second"].append(one)
    if not accuracies[True] or not accuracies[False]:
        return ()
    (alone, its), (both, number) = (
        max(accuracies[side], key=lambda one: one[0].value) for side in (True, False)
    )
    noise = NOISE * math.hypot(alone.se or 0.0, both.se or 0.0)
    if both.value - alone.value > noise:
        return ()
    return (
        f"The first text is hardly needed: the second alone (trial {its}) has an accuracy of "
        f"{alone.value:.2f}, the best of both {both.value:.2f} (trial {number}), within the noise "
        f"of these texts ({noise:.2f}); what a model of the pairs ranks says little about how it "
        "compares them.",
    )


def _warnings(trial: TrialRecord) -> Iterator[_Warning]:
    openness = [e.gate_openness for e in trial.epochs if e.gate_openness is not None]
    chosen = _chosen(trial)
    closed = chosen is not None and chosen < CLOSED_BELOW
    for kind, weight in _EFFECTIVE.items():
        # Closed gates take the importance loss to 0, and its gradient with it: that is no sign of
        # a small lambda_imp.
        if closed and kind == "lambda_imp":
            continue
        weights = [weight(epoch) for epoch in trial.epochs]
        measured = [value for value in weights if value is not None]
        if weights and len(measured) == len(weights) and max(measured) < INERT_BELOW:
            yield _Warning(kind, max(measured))
    if chosen is not None and closed:
        yield _Warning("closed", chosen)
    if openness and min(openness) > OPEN_ABOVE:
        yield _Warning("open", min(openness))
    if trial.scores is not None and trial.saturated:
        yield _Warning("saturated", _dominant_share(trial.scores))


def _dominant_share(scores: Scores) -> float:
    """Largest share of one class in the predictions after a deletion, in [0, 1]."""
    return max(scores.values[at_k("dominant_share", k)].value for k in scores.shares)


def _chosen(trial: TrialRecord) -> float | None:
    """Gate openness of the epoch whose state is kept; while there is none, of the best so far."""
    kept = trial.checkpoint.epoch if trial.checkpoint is not None else None
    for epoch in reversed(trial.epochs):
        if epoch.epoch == kept or (kept is None and epoch.best):
            return epoch.gate_openness
    return None


_EFFECTIVE: dict[_Kind, Callable[[EpochReport], float | None]] = {
    "lambda_imp": lambda epoch: epoch.effective_importance,
    "lambda_inter": lambda epoch: epoch.effective_interaction,
    "vmask_beta": lambda epoch: epoch.effective_information,
    "lambda_l1": lambda epoch: epoch.effective_l1,
    "lambda_ortho": lambda epoch: epoch.effective_orthogonality,
}

_NAMES: dict[_Kind, str] = {
    "closed": "gates closed",
    "open": "gates open",
    "saturated": "saturated",
}
_INERT = (
    "{kind} is inert{who}: its gradient was {seen} of the cross-entropy's at most, in every epoch; "
    "take a larger {kind}"
)
_SENTENCES: dict[_Kind, str] = {
    "lambda_imp": f"{_INERT}.",
    "lambda_inter": f"{_INERT}, or interaction_scale: row in the --space.",
    "vmask_beta": f"{_INERT}.",
    "lambda_l1": f"{_INERT}.",
    "lambda_ortho": f"{_INERT}.",
    "closed": (
        "The gates have closed{who}: the chosen epoch keeps {seen} of the tokens, so that the "
        "model sees almost nothing; take smaller lambdas, vmask_beta or a smaller learning rate."
    ),
    "open": (
        "The gates are wide open{who}: every epoch keeps {seen} of the tokens, so that VMASK masks "
        "nothing; take a larger lambda_imp, or a vmask_beta above 0."
    ),
    "saturated": (
        "Saturated{who}: on the deleted texts {seen} of the predictions are one class, so that SRS "
        "shows a collapsed prediction, not a good ranking; such a trial is never the knee or the "
        "compromise, choose another."
    ),
}


def _of_many(kind: _Kind, seen: dict[int, float]) -> str:
    numbers = sorted(seen)
    named = ", ".join(str(number) for number in numbers[:NUMBERS])
    more = f" and {len(numbers) - NUMBERS} more" if len(numbers) > NUMBERS else ""
    trials = "trial" if len(numbers) == 1 else "trials"
    low, high = _percent(min(seen.values())), _percent(max(seen.values()))
    # The sentence on a penalty names the largest of all.
    one = low == high or kind in _EFFECTIVE
    return _sentence(kind, high if one else f"{low} to {high}", f" ({trials} {named}{more})")


def _sentence(kind: _Kind, seen: str, who: str = "") -> str:
    return _SENTENCES[kind].format(kind=kind, seen=seen, who=who)


def _percent(share: float) -> str:
    return "under 0.001 %" if 0 < share < 1e-5 else f"{100 * share:.3g} %"
