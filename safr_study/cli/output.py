"""What people see: results on standard output, hints and progress on standard error."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from safr_study.records import TrialState
from safr_study.records.warnings import study_warnings
from safr_study.settings.objective import Objective

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from safr_study.records import RankedTrial, RegisteredModel, StudyResult, TrialRecord

PIPED = 110
"""Characters of a line where no terminal says how many it has."""
_quiet = False
LONG_JSON = 1_000_000
"""Characters. Indenting takes Python as long as all the rest of a command."""
FAILURES = 10
"""Failed trials that are told one by one: the rest is counted."""


def out() -> Console:
    """The console of results."""
    return _console(sys.stdout)


def err() -> Console:
    """The console of progress and hints."""
    console = _console(sys.stderr)
    console.quiet = _quiet
    return console


def warn(sentence: str) -> None:
    """Something is wrong, and nothing has failed; said with --quiet too."""
    _console(sys.stderr).print(f"warning: {sentence}", soft_wrap=True)


def silence() -> None:
    """From now on no progress and no hint: results, warnings and errors alone."""
    global _quiet
    _quiet = True


def print_json(document: Any) -> None:
    """One JSON document on standard output; indented, unless it is too long to be looked at."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    if len(text) < LONG_JSON:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(text + "\n")


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Python's cyclic garbage collector stands still: for a command that reads much and ends.

    Tens of thousands of records are made, and none of them is garbage; the collector would look
    through all of them again and again, for half of the time.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def table(columns: Sequence[str], *, title: str | None = None, keys: Sequence[int] = (0,)) -> Table:
    """A plain table; a column that begins with ``>`` is aligned to the right, and never cut.

    Args:
        columns: their headings.
        title: above it.
        keys: places of the columns that name a row, should a narrow terminal divide the table.
    """
    from rich.table import Column

    from safr_study.cli.fitting_table import FittingTable

    made = [
        Column(
            header=column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=column.startswith(">"),
        )
        for column in columns
    ]
    return FittingTable(*made, title=title, keys=keys)


def grid(*widths: int) -> Table:
    """A table without lines, its first columns of fixed widths, the last of what is left."""
    from rich.table import Table

    made = Table.grid(padding=0)
    for width in widths:
        made.add_column(width=width, no_wrap=True)
    made.add_column(overflow="fold")
    return made


def result_table(result: StudyResult, *, rows: int | None = None) -> Table:
    """A study's ranking for the terminal."""
    objectives = [Objective(name=name) for name in result.objectives]
    complete = len(result.ranked) + len(result.infeasible)
    kept = f" ({len(result.ranked)} feasible)" if result.constraints else ""
    ended = sum(trial.state is TrialState.PRUNED for trial in result.unranked)
    stopped = f"{ended} stopped early, " if ended else ""
    made = table(
        [">front", ">trial", "setting", *(f">{o.label}" for o in objectives), "note"],
        title=f"Study {result.name}: {complete} of {result.asked} trials complete{kept}, "
        f"{stopped}{len(result.front)} on the front (dev, percentage points)",
        keys=(1,),
    )
    for ranked in result.ranked[:rows]:
        made.add_row(
            str(ranked.front),
            str(ranked.trial.number),
            ranked.trial.label,
            *_shown_values(ranked.trial),
            notes(ranked),
            style="bold" if ranked.on_front else "dim",
        )
    return made


def _shown_values(trial: TrialRecord) -> list[str]:
    from safr_study.render.result_tables import seed_half_widths

    values, halves = trial.values or (), seed_half_widths(trial)
    if halves is None:
        return [f"{value:.2f}" for value in values]
    return [f"{value:.2f} ± {half:.2f}" for value, half in zip(values, halves, strict=True)]


def notes(ranked: RankedTrial) -> str:
    """What is special about a trial."""
    said = [
        ("knee", ranked.knee),
        ("baseline", ranked.trial.baseline is not None),
        ("saturated", ranked.trial.saturated),
    ]
    return ", ".join(word for word, true in said if true)


def result_footer(result: StudyResult) -> list[str]:
    """The lines under a ranking: hypervolume, trials without a place in it, and warnings."""
    from safr_study.render.result_tables import infeasible_lines
    from safr_study.render.rungs import rung_lines

    reference = ", ".join(f"{value:.2f}" for value in result.reference_point)
    lines = [f"Hypervolume {result.hypervolume:.1f} against the reference point ({reference})."]
    if result.confirmed_seeds:
        seeds = len(result.confirmed_seeds)
        lines.append(
            f"These are the search's own numbers. Confirmed with {seeds} new seeds: "
            f"`safr-study confirm {result.name} --seeds {seeds}` shows "
            "their means, and which trial is the knee by them; the study's aliases go by those."
        )
    lines += rung_lines(result)
    lines += infeasible_lines(result)
    lines += study_warnings(ranked.trial for ranked in result.ranked)
    failed = [trial for trial in result.unranked if trial.failure is not None]
    lines += [
        f"Trial {trial.number} ({trial.label}) failed: {trial.failure}"
        for trial in failed[:FAILURES]
    ]
    if len(failed) > FAILURES:
        lines.append(f"{len(failed) - FAILURES} more trials failed; --json has their sentences.")
    return lines


def models_table(models: Iterable[RegisteredModel]) -> Table:
    """Registered versions for the terminal."""
    made = table(
        ["model", ">version", "study", ">trial", "by", "aliases"],
        title="Registered models",
        keys=(0, 1),
    )
    for model in models:
        made.add_row(
            model.name,
            model.version,
            model.tags.get("study", ""),
            model.tags.get("trial", ""),
            _judged_by(model),
            ", ".join(sorted(model.aliases)),
        )
    return made


def _judged_by(model: RegisteredModel) -> str:
    """What stands behind a version's place: the search's own runs, or others."""
    seeds = model.tags.get("confirmed_seeds")
    return "search" if seeds is None else f"{seeds} new seeds"


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    # What users name may hold brackets and colons: it is text, no markup.
    return Console(file=stream, width=_width(stream), highlight=False, markup=False, emoji=False)


def _width(stream: Any) -> int | None:
    """Rich measures a terminal, and reads ``COLUMNS``; a pipe gets room for whole lines."""
    return None if stream.isatty() or os.environ.get("COLUMNS", "").isdigit() else PIPED
