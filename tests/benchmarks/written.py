"""The comparison of searches as files: a page, its numbers, and its picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measured import machine
from benchmarks.pictures import growth_figure
from benchmarks.searches import Search
from benchmarks.summary import AIM, Summary, markdown, summarise
from safr_study.records import to_plain
from safr_study.settings import SchedulerConfig

AT = 24
"""Full trainings, of the default study, after which shares are compared."""


def write_results(
    searches: Sequence[Search],
    *,
    out: Path,
    title: str,
    about: str,
    scheduler: SchedulerConfig,
    epochs: int,
    until: int,
    facts: Mapping[str, Any],
) -> Summary:
    """Write ``.md``, ``.json``, ``.png`` and ``.svg``.

    Args:
        searches: all methods under the same seeds.
        out: the files' common path, without a suffix.
        title: of the page.
        about: what was searched, and what the target is; a paragraph or more.
        scheduler: of the methods that stop trials.
        epochs: of a full training.
        until: full trainings at the right end of the picture.
        facts: what else made the numbers, for the JSON.
    """
    kept = [_rounded(search) for search in searches]
    # Of the numbers as they are kept, so that the page can be made of them again.
    summary = summarise([Search.from_plain(one) for one in kept], at=AT * epochs)
    out.parent.mkdir(parents=True, exist_ok=True)
    numbers = {
        "title": title,
        "cpu": machine()["cpu"],
        **facts,
        "epochs": epochs,
        "scheduler": scheduler.model_dump(mode="json"),
        "summary": to_plain(summary),
        "searches": kept,
    }
    out.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    page = _page(summary, scheduler, title=title, about=about, epochs=epochs, picture=out.stem)
    out.with_suffix(".md").write_text(page, encoding="utf-8")
    for suffix in (".png", ".svg"):
        growth_figure(
            searches,
            out.with_suffix(suffix),
            title=title,
            until=until * epochs,
            caption="lines: medians over the seeds; bands: the middle half of them",
        )
    return summary


def _rounded(search: Search) -> dict[str, Any]:
    """A search in short: shares to four decimals."""
    steps = [[spent, round(share, 4)] for spent, share in search.steps]
    return {**to_plain(search), "best": round(search.best, 4), "steps": steps}


def _page(
    summary: Summary,
    scheduler: SchedulerConfig,
    *,
    title: str,
    about: str,
    epochs: int,
    picture: str,
) -> str:
    rungs = ", ".join(map(str, scheduler.rungs(epochs)))
    reached = ", ".join(summary.aim_reached) or "none"
    return f"""# {title}

{about}

The reference of hypervolumes is majority accuracy and an SRS of 0. A trial's values are those of
its best dev epoch. The two baselines
run first and are paid for, and so are the epochs of stopped trials and of run-ons. After
{summary.cap:,} epochs a search is given up and counts as {summary.cap:,}: a lower bound, for all
searches alike.

MO-ASHA: rungs after {rungs} of {epochs} epochs, reduction {scheduler.reduction:g}, at least
{scheduler.min_peers} peers, margin {scheduler.margin:g}, run-ons {scheduler.run_on:g}.

{markdown(summary)}
Means and medians over {summary.methods[0].searches} seeds with 95 % intervals of a bootstrap over
them; ratios against random search with full training, paired by seed. With a ratio of means of at
most {AIM:.2f}, interval included: {reached}.

![Share of the best hypervolume against epochs]({picture}.png)
"""
