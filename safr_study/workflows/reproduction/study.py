"""Run what an item of the paper needs and no line has yet."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from safr_study.data import encoded_corpus
from safr_study.errors import SafrError, StudyInterrupted, TrialFailure
from safr_study.home import Home
from safr_study.records.runs import RunLine
from safr_study.settings import CorpusSpec, Preset
from safr_study.workflows.reproduction.lines import append_line, line_path, read_file
from safr_study.workflows.reproduction.rows import PAPER_EPOCHS, Item, WantedRun, wanted_runs
from safr_study.workflows.reproduction.training import trained

Do = Callable[[WantedRun], RunLine]
"""Trains and measures one run; called in a process of its own, so importable by name."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for."""

    item: Item
    spec: CorpusSpec
    seeds: int
    """0 .. seeds - 1."""
    preset: Preset
    results: Path
    """Folder of the lines."""
    epochs: int = PAPER_EPOCHS
    workers: int | None = None
    """Runs at once; ``None``: as many as there are cores."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is about to be done."""

    request: RunRequest
    file: Path
    wanted: tuple[WantedRun, ...]
    missing: tuple[WantedRun, ...]
    workers: int
    seconds: float | None
    """Wall time of what is missing, from the runs that are there; ``None``: there are none."""


class RunProgress(Protocol):
    """Who shows the runs to people."""

    def planned(self, plan: RunPlan) -> None:
        """The missing runs are about to begin."""

    def finished(self, wanted: WantedRun, line: RunLine, left: int, seconds: float) -> None:
        """A run is on disk; `left` are to come, in about so many seconds."""

    def failed(self, wanted: WantedRun, sentence: str) -> None:
        """A run cannot be had; the others go on."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The lines of the wanted runs, in their order, and those that failed."""

    lines: tuple[RunLine, ...]
    failures: tuple[tuple[WantedRun, str], ...]
    """Each with its sentence."""


def plan_runs(request: RunRequest, home: Home) -> RunPlan:
    """What an item needs and what of it is there; nothing is written but the corpus cache.

    Raises:
        BadInput: the paper has no numbers of the data set, or the data or lines cannot be read.
        ServiceUnreachable: the data set is nowhere on this machine and the hub does not answer.
    """
    corpus = encoded_corpus(request.spec, home.corpora)
    wanted = wanted_runs(
        request.item,
        request.spec,
        corpus,
        seeds=request.seeds,
        preset=request.preset,
        epochs=request.epochs,
    )
    file = line_path(request.results, request.spec.dataset, request.preset)
    lines = read_file(file)
    missing = tuple(run for run in wanted if find_line(run, lines) is None)
    workers = min(request.workers or _cores(), max(1, len(missing)))
    alike = [line.seconds for line in lines if line.corpus == corpus.fingerprint]
    seconds = sum(alike) / len(alike) * len(missing) / workers if alike else None
    return RunPlan(request, file, wanted, missing, workers, seconds)


def find_line(wanted: WantedRun, lines: Sequence[RunLine]) -> RunLine | None:
    """The line of a run, the newest where there are several."""
    return next((line for line in reversed(lines) if wanted.is_met_by(line)), None)


def run_missing(
    wanted: Sequence[WantedRun], folder: Path, do: Do, *, workers: int, progress: RunProgress
) -> RunOutcome:
    """Do the wanted runs that the folder has no line of; each line is appended as it ends.

    A run that fails (`TrialFailure`), or whose process dies, does not end the others.

    Args:
        wanted: any runs.
        folder: of the lines.
        do: trains and measures one; picklable.
        workers: runs at once, each in a process of its own.
        progress: shown what ends.

    Raises:
        StudyInterrupted: by Ctrl-C; what was finished is on disk.
        SafrError: a run found a fault that all of them share (bad data, a full disk).
    """
    files = {line_path(folder, run.spec.dataset, run.config.preset) for run in wanted}
    lines = [line for file in sorted(files) for line in read_file(file)]
    missing = [run for run in wanted if find_line(run, lines) is None]
    failures: list[tuple[WantedRun, str]] = []
    started, done = time.monotonic(), 0
    try:
        with _pool(min(workers, len(missing)) if missing else 1) as pool:
            for run, ended in _ended(pool, do, missing):
                done += 1
                if isinstance(ended, str):
                    failures.append((run, ended))
                    progress.failed(run, ended)
                    continue
                if not run.is_met_by(ended):
                    raise RuntimeError(f"{run.label} gave the line of another run: {ended.key}")
                line = append_line(folder, ended)
                lines.append(line)
                left = len(missing) - done
                progress.finished(run, line, left, (time.monotonic() - started) / done * left)
    except KeyboardInterrupt:
        kept = sum(find_line(run, lines) is not None for run in wanted)
        raise StudyInterrupted(
            f"interrupted with {kept} of {len(wanted)} runs in {folder}; the same command goes on "
            "with the others, each from its last epoch"
        ) from None
    found = [find_line(run, lines) for run in wanted]
    return RunOutcome(tuple(line for line in found if line is not None), tuple(failures))


def train_and_measure(home: Home, wanted: WantedRun) -> RunLine:
    """One run: its model from the home's checkpoints or trained, and measured on test.

    Raises:
        TrialFailure: a loss, a logit or a capacity is not finite.
    """
    from safr_study.workflows.reproduction.measuring import measure_run

    corpus = encoded_corpus(wanted.spec, home.corpora)
    done = trained(wanted.config, corpus, wanted.spec, home)
    return measure_run(
        done,
        corpus,
        wanted.spec,
        wanted.evaluation,
        curve=wanted.curve,
        capacities=wanted.capacities,
    )


@dataclass(frozen=True, slots=True)
class _Fault:
    """An expected error on its way between processes: errors of ours do not unpickle."""

    sentence: str
    exit_code: int
    ends_all: bool


def _attempt(do: Do, wanted: WantedRun) -> RunLine | _Fault:
    try:
        return do(wanted)
    except SafrError as error:
        return _Fault(str(error), error.exit_code, not isinstance(error, TrialFailure))


def _ended(
    pool: ProcessPoolExecutor, do: Do, runs: Sequence[WantedRun]
) -> Iterator[tuple[WantedRun, RunLine | str]]:
    """Each run as it ends, with its line or the sentence of its failure."""
    futures: dict[Future[RunLine | _Fault], WantedRun] = {}
    # The workers inherit it: Ctrl-C is for this process, which then ends them.
    with _ctrl_c_ignored():
        for run in runs:
            futures[pool.submit(_attempt, do, run)] = run
    for future in as_completed(futures):
        try:
            result = future.result()
        except BrokenProcessPool:
            yield (
                futures[future],
                "a worker process died, of memory perhaps; fewer at once with --max-concurrent",
            )
            continue
        if isinstance(result, _Fault) and result.ends_all:
            fault = SafrError(result.sentence)
            fault.exit_code = result.exit_code
            raise fault
        yield futures[future], result.sentence if isinstance(result, _Fault) else result


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes, which end at once when anything is raised here."""
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process not in before:
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
