"""Trains and measures the runs of a confirmation: plain Ray tasks, each (trial, seed) one of them.

Import this inside ``cluster``: Ray reads its environment when it is first imported.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from safr_study.cluster.slots import TrialSlots
from safr_study.data import EncodedCorpus
from safr_study.errors import SafrError, ServiceUnreachable, StudyInterrupted
from safr_study.object_store import join
from safr_study.records import to_plain
from safr_study.records.confirmation import Answers, Measured, measured_from_plain
from safr_study.records.metric_values import metric_value
from safr_study.runner.driver import POLL_SECONDS, WORKER_DEATHS, stop_on_signal
from safr_study.runner.task import Finished, TrialTask, finished_event, read_event
from safr_study.runner.trial_dir import Keep, kept_at, workplace
from safr_study.runner.worker import run_trial
from safr_study.settings import wanted

_WAIT_SECONDS = 0.5
"""Between two looks for Ctrl-C."""
_FINISHED = "finished.json"
"""In a run's folder: its end, for a driver that died before it heard of it."""
_WORKER_DIED = (
    "its worker process died twice (out of memory, or killed); run fewer at once with "
    "--max-concurrent"
)
Trained = tuple[Finished, Measured]
"""A run's end, and what was measured on dev with the answers to each text."""
Outcome = Trained | Measured | str
"""Of a task; a text is the sentence of a failure."""


def train_runs(
    tasks: Sequence[TrialTask],
    corpus: EncodedCorpus,
    *,
    slots: TrialSlots,
    on_end: Callable[[TrialTask, Trained | str], None],
    stop: Callable[[], bool],
) -> None:
    """Train and measure on dev, on the running Ray cluster.

    Args:
        tasks: a trial's settings with a new seed each, in folders of their own.
        corpus: of the study.
        slots: how many at once, and with what.
        on_end: called here with each run as it ends: its results, or the sentence of its failure.
        stop: asked every few seconds whether to end early.

    Raises:
        StudyInterrupted: by Ctrl-C, SIGTERM or ``stop``; those begun go on from their last epoch.
    """
    _run_all(_train, tasks, corpus, slots, on_end, stop, _read_trained)


def measure_on_test(
    tasks: Sequence[TrialTask],
    corpus: EncodedCorpus,
    *,
    slots: TrialSlots,
    on_end: Callable[[TrialTask, Measured | str], None],
    stop: Callable[[], bool],
) -> None:
    """Measure models that `train_runs` trained on the test set; arguments and errors as there."""
    _run_all(_test, tasks, corpus, slots, on_end, stop, _read_measured)


def _run_all(
    work: Callable[[Mapping[str, Any], EncodedCorpus], str],
    tasks: Sequence[TrialTask],
    corpus: EncodedCorpus,
    slots: TrialSlots,
    on_end: Callable[[TrialTask, Any], None],
    stop: Callable[[], bool],
    read: Callable[[Mapping[str, Any]], Outcome],
) -> None:
    remote = ray.remote(work).options(
        num_cpus=slots.cpus_per_trial,
        num_gpus=slots.gpus_per_trial,
        max_retries=WORKER_DEATHS,
    )
    shared = ray.put(corpus)
    waiting, running = list(tasks), dict[Any, TrialTask]()
    asked = time.monotonic()
    with stop_on_signal() as stopped:
        try:
            while (waiting or running) and not stopped.is_set():
                if time.monotonic() - asked > POLL_SECONDS:
                    asked = time.monotonic()
                    if stop():
                        stopped.set()
                while waiting and len(running) < slots.max_concurrent:
                    task = waiting.pop(0)
                    running[remote.remote(task.to_config(), shared)] = task
                for done in ray.wait(list(running), timeout=_WAIT_SECONDS)[0]:
                    on_end(running.pop(done), _outcome(done, read))
        except (RayError, ConnectionError) as error:
            raise ServiceUnreachable(
                f"address: Ray went away ({' '.join(str(error).split())[:200]}); the same command "
                "goes on with what is unfinished"
            ) from error
        finally:
            # On a cluster that goes on without this driver they would go on too.
            for left in running:
                with contextlib.suppress(RayError, ConnectionError, ValueError):
                    ray.cancel(left, force=True)
    if stopped.is_set() and (waiting or running):
        raise StudyInterrupted(f"{len(waiting) + len(running)} runs are left")


def _outcome(done: Any, read: Callable[[Mapping[str, Any]], Outcome]) -> Outcome:
    try:
        plain = json.loads(ray.get(done))
    except RayError:
        return _WORKER_DIED
    return str(plain["failure"]) if "failure" in plain else read(plain)


def _train(config: Mapping[str, Any], corpus: EncodedCorpus) -> str:
    """On a worker: one run, trained, or found trained."""

    def work(task: TrialTask, asked: TrialTask, keep: Keep) -> dict[str, Any]:
        finished = kept_at(asked, _finished_before(task) or _finish(task, corpus, keep))
        return {**finished_event(finished), "dev": to_plain(_measure(task, corpus, "dev"))}

    return _guarded(config, work)


def _test(config: Mapping[str, Any], corpus: EncodedCorpus) -> str:
    """On a worker: one trained model on the test set."""

    def work(task: TrialTask, _asked: TrialTask, _keep: Keep) -> dict[str, Any]:
        return {"test": to_plain(_measure(task, corpus, "test"))}

    return _guarded(config, work)


def _guarded(
    config: Mapping[str, Any], work: Callable[[TrialTask, TrialTask, Keep], dict[str, Any]]
) -> str:
    """As JSON; any fault ends this run alone, its trace is kept beside its state.

    Args:
        config: of the task.
        work: called with the task as it can be worked at here, as it was asked for, and with what
            keeps its files.
    """
    asked = TrialTask.from_config(dict(config))
    try:
        with workplace(asked) as (task, keep):
            try:
                result = work(task, asked, keep)
            except Exception as error:
                result = {"failure": _failure(error, task, asked)}
            keep()
    except SafrError as failure:
        result = {"failure": str(failure)}
    return json.dumps(result)


def _failure(error: Exception, task: TrialTask, asked: TrialTask) -> str:
    if isinstance(error, SafrError):
        return str(error)
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
    summary = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {summary} (details in {join(asked.folder, 'error.txt')})"


def _finish(task: TrialTask, corpus: EncodedCorpus, keep: Keep) -> Finished:
    finished = run_trial(task, corpus, lambda _event: keep())
    note = Path(task.folder) / _FINISHED
    unfinished = note.with_suffix(".new")
    unfinished.write_text(json.dumps(finished_event(finished)), encoding="utf-8")
    unfinished.replace(note)
    return finished


def _finished_before(task: TrialTask) -> Finished | None:
    """The end of a run that nobody heard of, if its model is whole."""
    from safr_study.checkpoint.manifest import verify_model

    note = Path(task.folder) / _FINISHED
    try:
        finished = _read_finished(json.loads(note.read_text(encoding="utf-8")))
        kept = verify_model(Path(task.folder) / "model")
    except (OSError, ValueError, KeyError, TypeError, SafrError):
        return None
    same = finished.checkpoint is not None and kept.sha256 == finished.checkpoint.sha256
    return finished if same else None


def _measure(task: TrialTask, corpus: EncodedCorpus, name: str) -> Measured:
    """The kept model on a split: its objectives, and which texts it has right."""
    # torch is slow to import: only workers pay for it.
    from safr_study.checkpoint.model_files import load_model
    from safr_study.evaluation import evaluate_model
    from safr_study.training import computing, limit_gpu_memory, pick_device

    device = pick_device(task.gpus)
    limit_gpu_memory(device, task.gpus)
    split = corpus.split(name)
    loaded = load_model(Path(task.folder) / "model", device=device)
    with computing(task.train.threads):
        found = evaluate_model(
            loaded.model,
            split,
            split_name=name,
            classes=len(corpus.class_names),
            config=task.evaluation,
            want=wanted(objective.name for objective in task.objectives),
            preset=task.train.preset,
            device=device,
        )
    right = {
        k: (
            deleted.top == split.labels,
            None if deleted.random is None else deleted.random == split.labels,
        )
        for k, deleted in found.deleted.items()
    }
    return Measured(
        scores=found.scores,
        values=tuple(metric_value(found.scores, objective) for objective in task.objectives),
        answers=Answers.pack(found.full == split.labels, right),
    )


def _read_trained(plain: Mapping[str, Any]) -> Trained:
    return _read_finished(plain), measured_from_plain(plain["dev"])


def _read_measured(plain: Mapping[str, Any]) -> Measured:
    return measured_from_plain(plain["test"])


def _read_finished(plain: Mapping[str, Any]) -> Finished:
    finished = read_event(plain["event"])
    if not isinstance(finished, Finished):
        raise TypeError(f"a run ended with {type(finished).__name__}")
    return finished
