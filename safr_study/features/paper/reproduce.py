"""Reproduce one table or figure of the paper: run what is missing, compare."""

from __future__ import annotations

from filelock import FileLock, Timeout

from safr_study.errors import BadInput, StudyIncomplete
from safr_study.features.paper.lines import line_path
from safr_study.features.paper.result import Reproduction, reproduce_item
from safr_study.features.paper.rows import item_rows, paper_dataset
from safr_study.features.paper.runs import (
    Drive,
    RunRequest,
    Say,
    drive_on_ray,
    plan_runs,
    run_missing,
)
from safr_study.home import Home


def reproduce(
    request: RunRequest, home: Home, *, say: Say, drive: Drive = drive_on_ray
) -> Reproduction:
    """Do the runs that an item lacks, and set all of them next to the paper.

    Args:
        request: what was asked for.
        home: keeps trained models and, of an interrupted run, its last epoch.
        say: shows what happens, a sentence each.
        drive: does the runs.

    Raises:
        BadInput: the paper has no such numbers, or the data or lines cannot be read.
        StudyInterrupted: by Ctrl-C; what was finished is on disk.
        StudyIncomplete: every run failed, so there is nothing to compare; or all share a fault.
        ServiceUnreachable: the data set is nowhere on this machine and the hub does not answer, or
            the cluster's head is gone.
    """
    dataset = request.spec.dataset
    entries = item_rows(request.item, dataset, request.only)
    file = line_path(request.results, dataset, request.preset)
    lock = file.with_name(f".{file.stem}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            plan = plan_runs(request, home)
            for line in plan.lines():
                say(line)
            outcome = run_missing(plan, home, say=say, drive=drive)
    except Timeout:
        raise BadInput(
            "results",
            f"{file} is being filled by another process; wait for it, or stop it with Ctrl-C there",
        ) from None
    failures = [f"{run.label} failed: {sentence}" for run, sentence in outcome.failures]
    if not outcome.lines:
        raise StudyIncomplete(
            f"no run of {request.item} on {dataset} could be finished; {failures[0]}"
        )
    return reproduce_item(
        request.item,
        entries,
        outcome.lines,
        paper_dataset=paper_dataset(dataset),
        seeds=request.seeds,
        failures=failures,
    )
