"""``list``, ``status`` and ``stop``: studies that run, or have run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.cli.submit import show_jobs, stop_jobs
from safr_study.errors import BadInput
from safr_study.features.study_base.stores import open_stores
from safr_study.render.text_table import TextTable
from safr_study.text import about, duration, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from safr_study.features.search.status import StudyStatus
    from safr_study.features.study_base.stores import Stores
    from safr_study.ledger.driver_lock import Driver

WATCH_SECONDS = 2.0
"""Seconds between two looks of ``--watch``."""


def status(
    study: options.AnyStudy = None,
    watch: Annotated[
        bool, option("Look again every two seconds until it has ended.", "--watch")
    ] = False,
    ray: options.Ray = None,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """Show how a study stands: who runs it, its trials, the front so far, the time left.

    With --ray, the jobs that submit began on that cluster; --watch follows the log of the last.

    Examples:

      safr-study status

      safr-study status s1 --watch

      safr-study status s1 --json | jq .hypervolume

      safr-study status s1 --ray http://127.0.0.1:8265 --watch
    """
    if ray is not None:
        show_jobs(ray, study, watch=watch, as_json=json)
        return
    stores = open_stores(home, storage=storage, reads=True)
    if watch and (study is None or json):
        raise BadInput("watch", "needs the name of one study, and no --json")
    if study is None:
        _show_studies(stores, as_json=json)
        return
    from safr_study.features.search.status import study_status

    current = study_status(study, stores)
    if json:
        output.print_json(_as_json(current))
        return
    if watch and current.running:
        current = _watch(study, stores, current)
    else:
        output.out().print(_page(current))
    _say_command(current)


def stop(
    study: options.Study,
    timeout: Annotated[float, option("Seconds to wait until it has ended.", min=0.0)] = 120.0,
    ray: options.Ray = None,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """Have a running study end cleanly, wherever it runs; its command goes on with it later.

    With --ray, the job of the study on that cluster, where its ledger is out of reach from here.

    Exit codes: 0 it has ended; 2 nobody runs it; 4 it has not ended in time.

    Examples:

      safr-study stop s1

      safr-study stop s1 --timeout 600

      safr-study stop s1 --ray http://127.0.0.1:8265
    """
    if ray is not None:
        stop_jobs(ray, study, timeout=timeout, as_json=json)
        return
    from safr_study.features.search.status import stop_study, study_status

    def say(driver: Driver, seconds: float) -> None:
        waited = f", since {duration(seconds)}" if seconds else ""
        output.err().print(f"asked its driver ({driver}) to end it; waiting{waited}")

    stores = open_stores(home, storage=storage, resumes=True)
    seconds = stop_study(study, stores, timeout=timeout, on_wait=say)
    left = study_status(study, stores)
    if json:
        output.print_json({"seconds": seconds, **_as_json(left)})
        return
    output.say(f"Study {study} has ended: {_counts(left)}.")
    _say_command(left)


def list_studies(
    ray: options.Ray = None,
    json: options.Json = False,
    home: options.Home = None,
    storage: options.Storage = None,
) -> None:
    """List the studies of this home or ledger database.

    With --ray, the jobs that submit began on that cluster, and who began each.

    Examples:

      safr-study list

      safr-study list --ray http://127.0.0.1:8265
    """
    if ray is not None:
        show_jobs(ray, None, watch=False, as_json=json)
        return
    _show_studies(open_stores(home, storage=storage, reads=True), as_json=json)


def _show_studies(stores: Stores, *, as_json: bool) -> None:
    """Show all studies, one line each."""
    from safr_study.features.study_base.results import list_studies

    studies, skipped = list_studies(stores)
    for sentence in skipped:
        output.warn(sentence)
    if as_json:
        output.print_json({"studies": studies})
    elif studies:
        output.show(_studies_table(studies))
    else:
        output.out().print("No study yet; begin one: safr-study search --dataset planted")


def _studies_table(studies: list[dict[str, Any]]) -> TextTable:
    """One line each; what is the same nothing for all of them gets no column."""
    counts = ("asked", "complete", "stopped", "failed", "unfinished")
    cells = {
        "study": [study["name"] for study in studies],
        "data": [study["dataset"] for study in studies],
        **{f">{name}": [str(study[name]) for study in studies] for name in counts},
        ">hypervolume": [f"{study['hypervolume']:.1f}" for study in studies],
        "now": ["running" if study["running"] else "" for study in studies],
    }
    for name in (">stopped", ">failed", ">unfinished", "now"):
        if set(cells[name]) <= {"", "0"}:
            del cells[name]
    return TextTable("", list(cells), list(zip(*cells.values(), strict=True)))


def _watch(study: str, stores: Stores, current: StudyStatus) -> StudyStatus:
    """Show a study every two seconds until it has ended; its last status."""
    from rich.live import Live

    from safr_study.features.search.status import study_status

    with Live(_page(current), console=output.out(), auto_refresh=False) as live:
        while current.running:
            time.sleep(WATCH_SECONDS)
            current = study_status(study, stores)
            live.update(_page(current), refresh=True)
    return current


def _say_command(status: StudyStatus) -> None:
    if status.undelivered is not None:
        output.say(
            f"MLflow may lack something of it ({status.undelivered}): safr-study sync "
            f"{status.result.name} brings it there."
        )
    if status.command is not None:
        output.say(f"Go on with it: {status.command}")


def _page(status: StudyStatus) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from safr_study.render.cost import cost_sentence
    from safr_study.render.terminal import TerminalTable
    from safr_study.render.verdict import verdict

    result = status.result
    now = "ending, as asked" if status.ending else "running"
    now = "not running" if status.driver is None else f"{now} ({status.driver})"
    parts: list[RenderableType] = [
        Text(f"Study {result.name} on {result.dataset}: {now}\n{_counts(status)}.")
    ]
    # While it runs, what it has not found it may still find.
    if status.driver is None and (found := verdict(result)) is not None:
        parts.insert(0, Text(found))
    if status.begun:
        rows = [
            (
                str(trial.number),
                trial.label,
                f"{trial.epochs[-1].epoch if trial.epochs else 0} of {status.epochs}",
                f"{trial.epochs[-1].dev_accuracy:.2f}" if trial.epochs else "",
            )
            for trial in status.begun
        ]
        columns = (">trial", "setting", ">epoch", ">last dev accuracy")
        parts.append(TerminalTable(TextTable("", columns, rows)))
    if result.front:
        parts.append(TerminalTable(_front_table(status)))
    reference = ", ".join(f"{value:.2f}" for value in result.reference_point)
    parts.append(
        Text(f"Hypervolume {result.hypervolume:.1f} against the reference point ({reference}).")
    )
    if result.confirmed_seeds:
        parts.append(
            Text(
                f"Confirmed with {len(result.confirmed_seeds)} new seeds: safr-study confirm "
                f"{result.name} --seeds {len(result.confirmed_seeds)} shows the means; the front "
                "here is by the search's own runs."
            )
        )
    parts.append(Text(f"{_times(status)}."))
    if result.cost is not None:
        parts.append(Text(f"{cost_sentence(result.cost)}."))
    return Group(*parts)


def _counts(status: StudyStatus) -> str:
    counted = (
        (status.complete, "complete"),
        (status.stopped, "stopped early"),
        (status.failed, "failed"),
        (len(status.begun), "running" if status.running else "begun and unfinished"),
        (len(status.paused), "paused"),
        (status.waiting, "still to begin"),
    )
    said = ", ".join(f"{count} {what}" for count, what in counted if count)
    return f"{status.planned} trials: {said}"


def _front_table(status: StudyStatus) -> TextTable:
    from safr_study.render.format import trial_badges
    from safr_study.settings import Objective

    result = status.result
    labels = [Objective(name=name).label for name in result.objectives]
    rows = [
        (
            str(ranked.trial.number),
            ranked.trial.label,
            *(f"{value:.2f}" for value in ranked.trial.values or ()),
            trial_badges(ranked),
        )
        for ranked in result.front
    ]
    return TextTable(
        "The front" if status.command is None and not status.running else "The front so far",
        (">trial", "setting", *(f">{label}" for label in labels), "note"),
        rows,
    )


def _times(status: StudyStatus) -> str:
    said = []
    if status.seconds_since_begin is not None:
        said.append(f"Begun {duration(status.seconds_since_begin)} ago")
    if status.seconds_left is not None:
        said.append(f"{about(status.seconds_left)} left")
    return ", ".join([*said, f"{size(status.disk)} of disk"])


def _as_json(status: StudyStatus) -> dict[str, Any]:
    from safr_study.records import picked
    from safr_study.render.result_tables import result_json

    document = result_json(status.result)
    front = [
        {key: trial[key] for key in ("trial", "label", "values", "knee", "compromise", "saturated")}
        for trial in document["trials"]
        if trial["on_front"]
    ]
    begun = [
        {
            "trial": trial.number,
            "label": trial.label,
            "epoch": trial.epochs[-1].epoch if trial.epochs else 0,
            "epochs": status.epochs,
            "dev_accuracy": trial.epochs[-1].dev_accuracy if trial.epochs else None,
        }
        for trial in status.begun
    ]
    of_result = ("study", "dataset", "objectives", "reference_point", "hypervolume", "verdict")
    now = ("running", "driver", "ending", "planned", "complete", "stopped", "failed")
    left = ("waiting", "seconds_since_begin", "seconds_left")
    return {
        **{key: document[key] for key in of_result},
        "front": front,
        **picked(status, *now),
        "paused": len(status.paused),
        "begun": begun,
        **picked(status, *left),
        "cost": document["cost"],
        "disk_bytes": status.disk,
        "confirmed_seeds": status.result.confirmed_seeds,
        **picked(status, "command", "undelivered"),
    }
