"""A confirmation for people: its tables of text, and the sentences under them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from safr_study.render.format import value_text
from safr_study.render.text_table import TextPage, TextTable
from safr_study.render.verdict import choice_note, verdict
from safr_study.settings import Objective
from safr_study.text import plural
from safr_study.uncertainty.confirmation import (
    SHOWN_SEEDS,
    Confirmation,
    ConfirmedTrial,
    Estimate,
)
from safr_study.uncertainty.intervals import BOOTSTRAP_SEEDS

_NARROW_OBJECTIVES = 2
"""Objectives that fit next to each other in 80 columns."""
_KNEE, _COMPROMISE, _SATURATED, _OUT = "*", "~", "!", "x"
_MARKS = {
    _KNEE: "knee of the means",
    _COMPROMISE: "compromise of the means, which have no knee",
    _SATURATED: "saturated under some seed",
    _OUT: "not confirmed: a run failed or is missing, or a constraint is missed",
}


def confirmation_page(confirmation: Confirmation, *, wide: bool) -> TextPage:
    """The tables (dev under the new seeds, the search's own values, test) and how to read them.

    Args:
        confirmation: the confirmation.
        wide: intervals by their ends and all objectives side by side, for files; else by half
            their width, and as many tables as fit 80 columns, for a terminal.
    """
    axes = range(len(confirmation.objectives))
    size = len(axes) if wide else _NARROW_OBJECTIVES
    groups = [axes[start : start + size] for start in range(0, len(axes), size)]
    made = [_dev(confirmation, group, wide) for group in groups]
    made += [_search(confirmation, group) for group in groups]
    if confirmation.test_texts:
        made += [_test(confirmation, group, wide) for group in groups]
    if confirmation.beside:
        made += _beside(confirmation, wide)
    title = (
        f"Confirmation of {confirmation.study} ({confirmation.dataset}): "
        f"{plural(len(confirmation.trials), 'trial')}, "
        f"{plural(len(confirmation.seeds), 'new seed')} ({_listed(confirmation.seeds)})"
    )
    notes, lead = confirmation_notes(confirmation), verdict(confirmation.result) or ""
    return TextPage(title, tuple(made), notes, lead)


def confirmation_notes(confirmation: Confirmation) -> tuple[str, ...]:
    """What the tables mean, a sentence or two each."""
    chosen = choice_note(confirmation.result)
    said = [_stayed(confirmation), *([chosen] if chosen is not None else [])]
    said += [_selection_bias(confirmation), _method(confirmation)]
    said += [*_unconfirmed(confirmation), *_saturated(confirmation), *_test_readings(confirmation)]
    if confirmation.more_seeds:
        total = len(confirmation.seeds) + confirmation.more_seeds
        said.append(f"More seeds are finished in the ledger: --seeds {total} shows them all.")
    return tuple(said)


def _dev(confirmation: Confirmation, group: Sequence[int], wide: bool) -> TextTable:
    rows = [
        (
            *_name(one),
            *(_cell(confirmation.objectives[axis], one.dev[axis], wide) for axis in group),
            "" if one.front_probability is None else f"{one.front_probability:.2f}",
            _place(one),
        )
        for one in confirmation.trials
    ]
    return TextTable(
        f"On dev, {confirmation.dev_texts:,} texts: mean{_shown(confirmation, wide)} over the new "
        f"seeds; P: share of resamples on the front{_key(confirmation)}",
        (">trial", "setting", *_headers(confirmation, group), ">P", "front"),
        rows,
    )


def _search(confirmation: Confirmation, group: Sequence[int]) -> TextTable:
    rows = []
    for one in confirmation.trials:
        cells = []
        for axis in group:
            objective, old = confirmation.objectives[axis], one.search[axis]
            shift = one.shifts[axis]
            cells.append(value_text(objective, old))
            cells.append("" if shift is None else value_text(objective, shift, sign="+"))
        rows.append((*_name(one), *cells))
    headers = [text for header in _headers(confirmation, group) for text in (header, ">change")]
    return TextTable(
        "The search's own values on dev, and how far the new mean is from each",
        (">trial", "setting", *headers),
        rows,
    )


def _test(confirmation: Confirmation, group: Sequence[int], wide: bool) -> TextTable:
    rows = [
        (
            *_name(one),
            *(_cell(confirmation.objectives[axis], one.test[axis], wide) for axis in group),
        )
        for one in confirmation.trials
        if one.test
    ]
    return TextTable(
        f"On test, {confirmation.test_texts:,} texts: mean{_shown(confirmation, wide)} over the "
        "same models",
        (">trial", "setting", *_headers(confirmation, group)),
        rows,
    )


def _beside(confirmation: Confirmation, wide: bool) -> Iterator[TextTable]:
    """The metrics beside the objectives: on dev and test for files, else on the last one read."""
    metrics = confirmation.beside
    size = len(metrics) if wide else _NARROW_OBJECTIVES
    read = ["dev", "test"] if confirmation.test_texts else ["dev"]
    for split in read if wide else read[-1:]:
        texts = getattr(confirmation, f"{split}_texts")
        found = [(one, getattr(one, f"{split}_beside")) for one in confirmation.trials]
        for start in range(0, len(metrics), size):
            group = range(start, min(start + size, len(metrics)))
            rows = [
                (*_name(one), *(_cell(metrics[place], estimates[place], wide) for place in group))
                for one, estimates in found
                if estimates
            ]
            yield TextTable(
                f"Beside the objectives, on {split}, {texts:,} texts: "
                f"mean{_shown(confirmation, wide)}; these choose nothing",
                (">trial", "setting", *(f">{metrics[place].label}" for place in group)),
                rows,
            )


def _stayed(confirmation: Confirmation) -> str:
    members, stayed = confirmation.members, confirmation.stayed
    left = [one for one in members if one.ranked is not None and not one.on_front]
    unknown = [one for one in members if one.ranked is None]
    joined = [one for one in confirmation.trials if one.on_front and not one.member]
    said = [f"{len(stayed)} {'stays' if len(stayed) == 1 else 'stay'} on the front of the new means"
            f"{_named(stayed)}"]  # fmt: skip
    if left:
        said.append(f"{len(left)} {'leaves' if len(left) == 1 else 'leave'} it{_named(left)}")
    if unknown:
        said.append(f"{len(unknown)} could not be confirmed{_named(unknown)}")
    joins = f" Of the baselines off it {plural(len(joined), 'joins', 'join')}{_named(joined)}."
    return (
        f"Of the {plural(len(members), 'trial')} on the search's front {', '.join(said)}."
        f"{joins if joined else ''} Other trials were not trained anew."
    )


def _selection_bias(confirmation: Confirmation) -> str:
    rest = [one for one in confirmation.trials if not one.member]
    control = ""
    if any(one.finished for one in rest):
        control = (
            f" Of the {plural(len(rest), 'baseline')} off that front, which nobody selected: "
            f"{_mean_gains(confirmation, rest)}."
        )
    gains = _mean_gains(confirmation, confirmation.members)
    return (
        "Winner's curse: the front was selected on the search's own numbers. Over its members "
        f"these are better than the new means by {gains} on average (below 0: worse), and better "
        f"than the whole interval in {_beyond(confirmation)}.{control}"
    )


def _mean_gains(confirmation: Confirmation, trials: Sequence[ConfirmedTrial]) -> str:
    """Mean gain of the search's values over the new means, per objective, in words."""
    parts = []
    for axis, objective in enumerate(confirmation.objectives):
        shifts = [shift for one in trials if (shift := one.shifts[axis]) is not None]
        if shifts:
            gain = -objective.sign * sum(shifts) / len(shifts)
            parts.append(f"{value_text(objective, gain, sign='+')} {objective.label}")
    return " and ".join(parts) or "nothing known"


def _beyond(confirmation: Confirmation) -> str:
    """How many search values are better than the whole new interval, of each objective."""
    parts = []
    for axis, objective in enumerate(confirmation.objectives):
        known = [
            one.search[axis] > new.interval.high
            if objective.maximise
            else one.search[axis] < new.interval.low
            for one in confirmation.members
            if (new := one.dev[axis]).interval is not None
        ]
        parts.append(f"{sum(known)} of {len(known)} for {objective.label}")
    return " and ".join(parts)


def _method(confirmation: Confirmation) -> str:
    seeds = len(confirmation.seeds)
    if seeds < SHOWN_SEEDS:
        return (
            f"Fewer than {SHOWN_SEEDS} seeds have no interval worth showing: --seeds {SHOWN_SEEDS} "
            "goes on from here. P redraws seeds and texts; with so few seeds it is too close to 0 "
            "and 1."
        )
    if seeds < BOOTSTRAP_SEEDS:
        return (
            f"Intervals: 95 %, Student-t over {seeds} seeds; they cover the mean over seeds on "
            "these texts, and are too narrow for others. P redraws seeds and texts; with so few "
            "seeds it is too close to 0 and 1."
        )
    return (
        f"Intervals: 95 %, crossed bootstrap of {seeds} seeds and the texts (Student-t where the "
        "answers to single texts are not kept). P redraws seeds and texts."
    )


def _unconfirmed(confirmation: Confirmation) -> Iterator[str]:
    for one in confirmation.trials:
        for run in one.failures:
            yield f"Trial {run.trial} failed under seed {run.seed}: {run.failure}"
        if any(miss > 0 for miss in one.violations):
            yield f"Trial {one.trial.number} misses a constraint by its new means: not confirmed."


def _saturated(confirmation: Confirmation) -> Iterator[str]:
    collapsed = [one for one in confirmation.trials if one.saturated]
    if collapsed:
        names = ", ".join(
            f"{one.trial.number} ({one.saturated} of {len(one.finished)} seeds)"
            for one in collapsed
        )
        yield (
            f"Saturated, so that SRS measures a collapsed prediction: trial {names}. Such a trial "
            "is neither knee, compromise nor best-srs."
        )


def _test_readings(confirmation: Confirmation) -> Iterator[str]:
    """When the test set was read, for whom, and what was chosen by then."""
    if not confirmation.readings:
        return
    for place, reading in enumerate(confirmation.readings):
        chosen = ", ".join(f"{role} {trial}" for role, trial in reading.chosen.items())
        trials, seeds = (_listed(sorted(set(column))) for column in zip(*reading.runs, strict=True))
        models = f"{plural(len(reading.runs), 'model')} (trials {trials}; seeds {seeds})"
        first = "first " if place == 0 and len(confirmation.readings) > 1 else ""
        yield (
            f"The test set was {first}read {reading.at} for {models}; chosen on dev by then: "
            f"{f'trial by role: {chosen}' if chosen else 'nothing'}. "
            "It is not read again for these models."
        )
    known, *later = [{trial for trial, _ in one.runs} for one in confirmation.readings]
    if any(trials - known for trials in later):
        yield (
            "Some trials were first read on test when numbers of others were known: between these, "
            "test is no longer a blind judge."
        )


def _name(one: ConfirmedTrial) -> tuple[str, str]:
    choice = None if one.ranked is None else one.ranked.choice
    marks = "" if choice is None else _KNEE if choice == "knee" else _COMPROMISE
    marks += _SATURATED if one.saturated else ""
    marks += _OUT if one.ranked is None else ""
    return f"{marks}{one.trial.number}", one.trial.label


def _place(one: ConfirmedTrial) -> str:
    if one.member and one.ranked is not None:
        return "stays" if one.on_front else "leaves"
    return "joins" if one.on_front else ""


def _cell(objective: Objective, estimate: Estimate, wide: bool) -> str:
    if estimate.mean is None:
        return "none"
    mean = value_text(objective, estimate.mean)
    if estimate.shown is None:
        return mean
    if not wide:
        return f"{mean} ±{value_text(objective, estimate.shown.half)}"
    low, high = (value_text(objective, end) for end in estimate.shown.ends)
    return f"{mean} [{low}, {high}]"


def _key(confirmation: Confirmation) -> str:
    used = {mark for one in confirmation.trials for mark in _MARKS if mark in _name(one)[0]}
    return "".join(f"; {mark} {meaning}" for mark, meaning in _MARKS.items() if mark in used)


def _headers(confirmation: Confirmation, group: Sequence[int]) -> tuple[str, ...]:
    objectives = (confirmation.objectives[axis] for axis in group)
    return tuple(f">{one.label}{'' if one.maximise else ' ↓'}" for one in objectives)


def _shown(confirmation: Confirmation, wide: bool) -> str:
    if len(confirmation.seeds) < SHOWN_SEEDS:
        return ""
    return " [95 % interval]" if wide else " ± half its 95 % interval"


def _named(trials: Sequence[ConfirmedTrial]) -> str:
    return f" ({_listed([one.trial.number for one in trials])})" if trials else ""


def _listed(numbers: Sequence[int]) -> str:
    """``1-5, 8``: runs of whole numbers by their ends."""
    parts: list[list[int]] = []
    for value in sorted(numbers):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(
        f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts
    )
