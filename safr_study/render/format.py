"""A trial, a setting and a word in words: values with intervals, badges, capacity and its tint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safr_study.records import RankedTrial, TrialRecord
from safr_study.settings import POINTS, Objective
from safr_study.text import Z95

if TYPE_CHECKING:
    from safr_study.records.explanation import ExplainedWord

FROM_SEEDS, FROM_EXAMPLES = "over its seeds", "from the dev texts alone"
TINT_COLOURS = (
    ("#f7fbff", "#000000"),
    ("#deebf7", "#000000"),
    ("#b5d4e9", "#000000"),
    ("#7ab6d9", "#000000"),
    ("#2b7bba", "#ffffff"),
    ("#08418a", "#ffffff"),
)
"""Paper and ink by rising capacity, where no style sheet is at hand; as ``.t0`` to ``.t5`` of
``base.css``. Blues that are told apart by lightness alone."""
TINTS = len(TINT_COLOURS)
"""Steps of the colour scale, from no tint to the darkest."""


@dataclass(frozen=True, slots=True)
class HalfWidth:
    """Half the width of a 95 % interval, and what it covers."""

    half: float
    covers: str
    """`FROM_SEEDS` or `FROM_EXAMPLES`: the second knows nothing of the seeds."""


def seed_half_widths(trial: TrialRecord) -> tuple[float, ...] | None:
    """Half widths of the objectives' 95 % intervals over the trial's seeds (Student-t).

    ``None`` with one seed: nothing is known of the seeds then.
    """
    if len(trial.replicates) < 2:
        return None
    # scipy is slow to import, and most studies have one seed.
    from safr_study.uncertainty.intervals import t_interval

    seeds = [replicate.values for replicate in trial.replicates]
    intervals = (t_interval(column) for column in zip(*seeds, strict=True))
    return tuple(one.half for one in intervals if one is not None)


def half_widths(
    trial: TrialRecord, objectives: tuple[Objective, ...]
) -> tuple[HalfWidth | None, ...]:
    """The best interval that is known of each objective of a complete trial.

    Over the trial's seeds (Student-t) where it has several; else 1.96 standard errors of its one
    run, from the examples; ``None`` where the objective has no standard error.
    """
    halves = seed_half_widths(trial)
    if halves is not None:
        return tuple(HalfWidth(half, FROM_SEEDS) for half in halves)
    if trial.scores is None:
        return tuple(None for _ in objectives)
    measures = [trial.scores.values.get(objective.name) for objective in objectives]
    errors = [None if measure is None else measure.se for measure in measures]
    return tuple(None if se is None else HalfWidth(Z95 * se, FROM_EXAMPLES) for se in errors)


def value_text(
    objective: Objective, value: float, half_width: HalfWidth | None = None, *, sign: str = ""
) -> str:
    """A value with as many decimals as its unit needs, and half its interval's width.

    Args:
        objective: what the value is of.
        value: in the objective's unit.
        half_width: of its interval; ``None``: not shown.
        sign: ``+`` shows the sign of a positive value too.
    """
    kind = ".2f" if objective.measure.unit == POINTS else ".4g"
    shown = format(value, sign + kind)
    return shown if half_width is None else f"{shown} ± {half_width.half:{kind}}"


def heading(objective: Objective) -> str:
    """Its label as the first words of a line."""
    return objective.label[:1].upper() + objective.label[1:]


def objective_columns(objectives: Iterable[Objective]) -> list[str]:
    """Headers of the columns of values in a `TextTable` or a page, aligned to the right."""
    return [f">{heading(objective)}" for objective in objectives]


def trial_badges(ranked: RankedTrial) -> str:
    """Special properties of a trial: ``knee`` or ``compromise``, ``baseline``, ``saturated``."""
    said = (
        (ranked.choice or "", ranked.choice is not None),
        ("baseline", ranked.trial.baseline is not None),
        ("saturated", ranked.trial.saturated),
    )
    return ", ".join(word for word, true in said if true)


def trial_sentence(ranked: RankedTrial, objectives: tuple[Objective, ...]) -> str:
    """Several lines about a trial: its name, its values, its place."""
    trial = ranked.trial
    lines = [f"Trial {trial.number}: {trial.label}"]
    shown = zip(objectives, ranked.objectives, half_widths(trial, objectives), strict=True)
    covers: dict[str, None] = {}
    for objective, value, spread in shown:
        lines.append(f"{heading(objective)} {value_text(objective, value, spread)}")
        covers |= {} if spread is None else {spread.covers: None}
    lines += [f"± 95 %, {covered}" for covered in covers]
    place = "on the front" if ranked.on_front else f"front {ranked.front}"
    special = trial_badges(ranked)
    lines.append(place + (f", {special}" if special else ""))
    return "\n".join(lines)


def shown_setting(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(
            " ".join(map(shown_setting, one.values()))
            if isinstance(one, Mapping)
            else shown_setting(one)
            for one in value
        )
    return "none" if value is None else str(value)


def tint(capacity: float, largest: float) -> int:
    """Step of the colour scale, from 0 to TINTS - 1, linear in the capacity.

    Args:
        capacity: at least 0.
        largest: of the text; its word gets the last step.
    """
    return min(TINTS - 1, int(TINTS * capacity / largest)) if largest > 0 else 0


def word_facts(word: ExplainedWord) -> str:
    """The word's numbers in one line."""
    keep = (
        "" if word.keep_probability is None else f", keep-probability {word.keep_probability:.3f}"
    )
    return f"capacity {word.capacity:.3f}, rank {word.rank + 1}{keep}"


def with_se(value: float | None, se: float | None, decimals: int = 2) -> str:
    """``12.34 ± 0.56``, as much of it as there is."""
    if value is None:
        return ""
    return f"{value:.{decimals}f}" + ("" if se is None else f" ± {se:.{decimals}f}")
