"""Reproduce one table or figure of the paper: run what no line has yet, compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from filelock import FileLock, Timeout

from safr_study.cluster.ray_cluster import cluster, cluster_nodes
from safr_study.cluster.slots import plan_slots, time_left
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.errors import BadInput, StudyIncomplete, StudyInterrupted
from safr_study.features.paper.compare import Reproduction, reproduce_item
from safr_study.features.paper.lines import RunLine, append_line, read_file
from safr_study.features.paper.measure import measure_paper_run
from safr_study.features.paper.rows import RunRequest, WantedRun, wanted_runs
from safr_study.home import Home
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.retention import tidy_states
from safr_study.object_store import check_place, is_url, join
from safr_study.records.run import RunResult
from safr_study.runner.source import FixedSource
from safr_study.runner.task import RunTask, make_trial_root
from safr_study.settings import Resources, fingerprint_of
from safr_study.text import about, duration

_FOLDER = "reproduce"
"""Name of the folder of the trained models, and beginning of that of Ray's own state."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is about to be done."""

    request: RunRequest
    corpus: EncodedCorpus
    wanted: tuple[WantedRun, ...]
    missing: tuple[WantedRun, ...]
    workers: int | None
    """Runs at once; ``None``: as many as the cluster at the address has room for."""
    seconds: float | None
    """Wall time of what is missing, from the runs that are there; ``None``: not known."""

    def lines(self) -> list[str]:
        """Sentences on what is there, what is to be done, and what it will cost."""
        request, missing = self.request, len(self.missing)
        head = (
            f"{request.item} on {request.spec.dataset}, preset {request.preset}: "
            f"{len(self.wanted)} runs, {len(self.wanted) - missing} of them in {request.file}"
        )
        if not missing:
            return [head]
        known = self.seconds is not None
        left = about(self.seconds or 0.0) if known else "how long, the first tells"
        room = "as many at once as the cluster has room for"
        at_once = room if self.workers is None else f"{self.workers} at once"
        return [head, f"{missing} to do, {at_once}, {left}"]


Say = Callable[[str], None]
"""Shows a sentence about the progress to people."""
Drive = Callable[[Callable[[float], FixedSource], RunPlan, Home], bool]
"""Does the runs of the source that it is given for a share of a GPU; whether it was interrupted."""


def plan_runs(request: RunRequest, home: Home) -> RunPlan:
    """What an item needs and what of it is there; nothing is written but the corpus cache.

    Raises:
        BadInput: the paper has no numbers of the data set, or the data or lines cannot be read.
        ServiceUnreachable: the data set is nowhere on this machine and the hub does not answer.
    """
    corpus = encoded_corpus(request.spec, home.corpora)
    if corpus.test is None:
        raise BadInput(
            "dataset", f"{request.spec.dataset} has no test split, which the tables are of"
        )
    wanted = wanted_runs(request, corpus)
    lines = read_file(request.file)
    missing = tuple(run for run in wanted if find_line(run, lines) is None)
    workers = request.workers
    if workers is None and request.address is None:
        workers = _at_once()
    if workers is not None:
        workers = min(workers, max(1, len(missing)))
    alike = [line.seconds for line in lines if line.corpus == corpus.fingerprint]
    seconds = None
    if alike and workers is not None:
        seconds = time_left([sum(alike) / len(alike)] * len(missing), workers)
    return RunPlan(request, corpus, wanted, missing, workers, seconds)


def find_line(wanted: WantedRun, lines: Sequence[RunLine]) -> RunLine | None:
    """The line of a run, the newest where there are several."""
    return next((line for line in reversed(lines) if wanted.is_met_by(line)), None)


def drive_on_ray(source_for: Callable[[float], FixedSource], plan: RunPlan, home: Home) -> bool:
    """Do the runs on the cluster that was asked for; the GPUs are shared evenly.

    Raises:
        SafrError: as `runner.driver.run`.
    """
    with cluster(plan.request.address):
        from safr_study.runner.driver import run

        nodes = cluster_nodes()
        at_once = plan.workers
        # What was planned is what runs: the cores and GPUs of all nodes are shared evenly.
        shares: dict[str, float] = {}
        if at_once is not None:
            cpus, gpus = (sum(getattr(node, name) for node in nodes) for name in ("cpus", "gpus"))
            shares = {
                "cpus_per_trial": min(1.0, cpus / at_once),
                "gpus_per_trial": min(1.0, gpus / at_once),
            }
        asked = Resources.model_validate({"max_concurrent": at_once, **shares})
        slots = plan_slots(asked, nodes)
        # The results file is locked by the caller: no other driver fills it.
        lease = Lease("")
        results = fingerprint_of([str(plan.request.file.resolve())])[:12]
        try:
            run(
                source_for(slots.gpus_per_trial),
                plan.corpus,
                slots=slots,
                lease=lease,
                scratch=home.scratch / f"{_FOLDER}-{results}",
            )
        except StudyInterrupted:
            return True
    return False


def run_missing(
    plan: RunPlan, home: Home, *, say: Say, drive: Drive = drive_on_ray
) -> tuple[tuple[RunLine, ...], list[str]]:
    """Do the runs that are missing; each line is appended as it ends.

    Args:
        plan: what is missing, from the lines as they are now.
        home: has the trained models and, of an interrupted run, its last epoch.
        say: shows what ends, a sentence each.
        drive: does the runs.

    Returns:
        The lines of the wanted runs, in their order, and a sentence for each that failed.

    Raises:
        StudyInterrupted: by Ctrl-C; what was finished is on disk.
        SafrError: a fault that all runs share, such as a full disk or a lost head of the cluster.
    """
    request, folder = plan.request, _models(plan.request, home)
    failures: list[str] = []

    def store(task: RunTask, result: RunResult, source: FixedSource) -> None:
        wanted = plan.missing[task.number]
        if result.line is None:
            failures.append(f"{wanted.label} failed: {result.failure}")
            say(f"warning: {failures[-1]}")
            return
        line = RunLine.from_json(result.line)
        if not wanted.is_met_by(line):
            raise RuntimeError(f"{wanted.label} gave the line of another run: {line.key}")
        line = append_line(request.results, line)
        tidy_states(task.folder)
        left = source.left
        rest = f"; {left} left, {about(source.seconds_left)}" if left else ""
        srs = line.test.value("srs@30")
        say(
            f"{wanted.label}: accuracy {line.test.accuracy:.2f}, SRS(30) {srs:.2f}, "
            f"{line.epochs} epochs in {duration(line.seconds)}{rest}"
        )

    def source_for(gpus: float) -> FixedSource:
        return FixedSource(
            [_task(number, run, folder, gpus) for number, run in enumerate(plan.missing)],
            store,
            title=f"{request.item} on {request.spec.dataset}",
            results=str(request.file),
            work=measure_paper_run,
        )

    interrupted = False
    if plan.missing:
        make_trial_root(folder)
        try:
            interrupted = drive(source_for, plan, home)
        except KeyboardInterrupt:
            interrupted = True
    lines = read_file(request.file)
    kept = [find_line(run, lines) for run in plan.wanted]
    if not is_url(folder):
        # What a killed driver did not come to.
        for run, line in zip(plan.wanted, kept, strict=True):
            if line is not None:
                tidy_states(join(folder, run.key))
    count = sum(line is not None for line in kept)
    if interrupted and count < len(kept):
        raise StudyInterrupted(
            f"interrupted with {count} of {len(kept)} runs in {request.results}; the same command "
            "goes on with the others, each from its last epoch"
        )
    return tuple(line for line in kept if line is not None), failures


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
    file = request.file
    lock = file.with_name(f".{file.stem}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            plan = plan_runs(request, home)
            for sentence in plan.lines():
                say(sentence)
            lines, failures = run_missing(plan, home, say=say, drive=drive)
    except Timeout:
        raise BadInput(
            "results",
            f"{file} is being filled by another process; wait for it, or stop it with Ctrl-C there",
        ) from None
    if not lines:
        raise StudyIncomplete(
            f"no run of {request.item} on {request.spec.dataset} could be finished; {failures[0]}"
        )
    return reproduce_item(request, lines, failures)


def _models(request: RunRequest, home: Home) -> str:
    """Where trained models are: a path or an URL."""
    if request.checkpoints_url is None:
        return str(home.checkpoints(_FOLDER))
    return join(check_place(request.checkpoints_url), _FOLDER)


def _task(number: int, wanted: WantedRun, folder: str, gpus: float) -> RunTask:
    return RunTask(
        number=number,
        train=wanted.config,
        corpus=wanted.spec,
        evaluation=wanted.evaluation,
        objectives=(),
        folder=join(folder, wanted.key),
        gpus=gpus,
        extras=wanted.extras,
    )


def _at_once() -> int:
    """Runs at once: one for each GPU, else one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return torch.cuda.device_count() or cores or 1
