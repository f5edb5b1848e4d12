"""Run what an item of the paper needs and no line has yet."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from safr_study.data import encoded_corpus
from safr_study.errors import SafrError, StudyInterrupted, TrialFailure
from safr_study.features.paper.lines import append_line, line_path, read_file
from safr_study.features.paper.rows import PAPER_EPOCHS, Item, WantedRun, wanted_runs
from safr_study.features.paper.training import trained
from safr_study.home import Home
from safr_study.records.runs import RunLine
from safr_study.settings import CorpusSpec, Preset
from safr_study.text import first_line

_LOOK_AGAIN_SECONDS = 0.2
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
    """Runs at once; ``None``: one for each GPU, else one for each core."""
    only: tuple[str, ...] = ()
    """Names of rows; none: all of the item's."""


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
        only=request.only,
    )
    file = line_path(request.results, request.spec.dataset, request.preset)
    lines = read_file(file)
    missing = tuple(run for run in wanted if find_line(run, lines) is None)
    workers = min(request.workers or _at_once(), max(1, len(missing)))
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

    Each in a process of its own: one that fails, or whose process dies, does not end the others.

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
        with contextlib.closing(_ended(do, missing, workers)) as results:
            for run, ended in results:
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
    from safr_study.features.paper.measure import measure_run

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
    except OSError as error:
        # A full disk, say: the other runs would meet it too.
        return _Fault(f"{error.filename or 'file system'}: {error.strerror or error}", 2, True)
    except Exception as error:
        return _Fault(f"{type(error).__name__}: {first_line(error)}", 1, False)


def _ended(
    do: Do, runs: Sequence[WantedRun], workers: int
) -> Generator[tuple[WantedRun, RunLine | str]]:
    """Each run as it ends, with its line or the sentence of its failure.

    When it is closed before its end, or raises, the processes of all the others end at once.
    """
    before = multiprocessing.active_children()
    # Threads that each wait for a process.
    with ThreadPoolExecutor(workers, initializer=_leave_ctrl_c) as threads:
        futures = {threads.submit(_in_a_process, do, run): run for run in runs}
        try:
            for future in as_completed(futures):
                result = future.result()
                if isinstance(result, _Fault) and result.ends_all:
                    fault = SafrError(result.sentence)
                    fault.exit_code = result.exit_code
                    raise fault
                yield futures[future], result.sentence if isinstance(result, _Fault) else result
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            # A process that is being started is not among the children yet: look again.
            while running := [future for future in futures if not future.done()]:
                wait(running, timeout=_LOOK_AGAIN_SECONDS)
                for process in multiprocessing.active_children():
                    if process not in before:
                        process.terminate()


def _in_a_process(do: Do, wanted: WantedRun) -> RunLine | _Fault:
    """One run in a process of its own, whose death is this run's alone."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_attempt, do, wanted).result()
        except BrokenProcessPool:
            return _Fault(
                "its process died, of memory perhaps; fewer at once with --max-concurrent", 1, False
            )


def _leave_ctrl_c() -> None:
    """Ctrl-C is for the main thread alone; the processes started here inherit the mask."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _at_once() -> int:
    """Runs at once: one for each GPU, else one for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return torch.cuda.device_count() or cores or 1
