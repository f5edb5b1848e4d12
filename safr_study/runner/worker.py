"""What runs on a Ray worker: one run, trained or loaded, and measured.

Thin on purpose: it builds settings, calls ``training`` and ``evaluation``, and reports.
"""

from __future__ import annotations

import contextlib
import errno
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psutil

from safr_study.checkpoint.manifest import MODEL, STATE
from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.errors import SafrError, ServiceUnreachable, TrialFailure
from safr_study.object_store import is_url, join
from safr_study.records import EpochReport, Replicate, Scores, to_plain
from safr_study.records.run import Answers, Measured, RunResult, Spent
from safr_study.redaction import redacted
from safr_study.runner.energy import EnergyMeter
from safr_study.runner.rungs import rung_sample
from safr_study.runner.task import (
    NODE,
    SPENT,
    Event,
    RunTask,
    SharedFault,
    event,
    replicate_event,
    trial_dir,
)
from safr_study.settings import Objective, Wanted, wanted
from safr_study.text import summary

if TYPE_CHECKING:
    import torch

    from safr_study.model import Classifier
    from safr_study.training import FitResult

Report = Callable[[dict[str, str]], None]
Work = Callable[[RunTask, EncodedCorpus, Report], RunResult | SharedFault]
"""What a worker does with a task; importable by name."""
_Result = TypeVar("_Result")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A full disk, a used-up quota, a file larger than this process may write."""


def train_run(task: RunTask, corpus: EncodedCorpus, report: Report) -> RunResult:
    """Train one run and measure it on dev, resuming from its running state if there is one.

    Args:
        task: what to do.
        corpus: the study's data.
        report: called with each event, after each epoch.

    Raises:
        TrialFailure: it cannot be finished; the sentence says why.
    """
    read = corpus.as_read(task.train.texts)
    return with_gpu_share(task, lambda device: _Run(task, read, device).train(report))


def measure_on_test(task: RunTask, corpus: EncodedCorpus, _report: Report) -> RunResult:
    """Measure the model of a finished run on the test set.

    Raises:
        SafrError: there is no such model, or what it computes is not finite.
    """
    from safr_study.checkpoint.model_files import load_model

    def step(device: torch.device) -> RunResult:
        model = load_model(Path(task.folder) / MODEL, device=device).reading(corpus)
        want = wanted(one.name for one in (*task.objectives, *task.beside))
        read = corpus.as_read(task.train.texts)
        test = _Run(task, read, device).measure(model, "test", read.split("test"), want)
        return RunResult(*task.key, test=test, device=str(device))

    return with_gpu_share(task, step)


def with_gpu_share(task: RunTask, step: Callable[[torch.device], _Result]) -> _Result:
    """Do a step of a run within its share of the device; out of memory, once more with twice that.

    Args:
        task: says the share and the threads.
        step: called with the device; resumes from what it has saved.

    Raises:
        TrialFailure: it ran out of memory twice.
    """
    # torch is slow to import: only workers pay for it.
    import torch

    from safr_study.training import computing, limit_gpu_memory, pick_device

    device = pick_device(task.gpus)
    for share in (task.gpus, 2 * task.gpus):
        limit_gpu_memory(device, share)
        try:
            with computing(task.train.threads):
                return step(device)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
        # Only here nothing holds the tensors of the failed try any more.
        if device.type == "cuda":
            torch.cuda.empty_cache()
    raise TrialFailure(
        f"it ran out of memory twice, the second time with {2 * task.gpus:g} of a GPU; give each "
        "trial more with --gpus-per-trial, run fewer at once with --max-concurrent, or take a "
        "smaller batch_size"
    )


def _out_of_memory(error: RuntimeError | MemoryError) -> bool:
    import torch

    # torch has a class of its own for the GPU's allocator alone.
    words = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    known = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, known) or any(word in str(error) for word in words)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run on its device."""

    task: RunTask
    corpus: EncodedCorpus
    device: torch.device

    def train(self, report: Report) -> RunResult:
        """Train under each of the run's seeds and measure on dev; the first one's model is kept."""
        from safr_study.checkpoint.model_files import save_model

        task, corpus, began = self.task, self.corpus, time.perf_counter()
        fitted = self._fit_first_seed(report)
        want = self._want()
        complete = replace(want, superposition=True)
        dev = self.measure(fitted.model, "dev", corpus.dev, complete)
        measured = [(task.train.seed, dev.scores)]
        for seed in task.more_seeds:
            model = self._fit_other_seed(seed, report)
            measured.append((seed, self.measure(model, "dev", corpus.dev, want).scores))
        checkpoint = save_model(
            Path(task.folder) / MODEL,
            fitted.model,
            config=task.train,
            corpus=corpus,
            spec=task.corpus,
            evaluation=task.evaluation,
            scores=dev.scores,
            epoch=fitted.best_epoch,
        )
        classes = corpus.class_counts("dev")
        violations = [
            [one.violation(scores.value(one.metric), classes) for one in task.constraints]
            for _, scores in measured
        ]
        return RunResult(
            *task.key,
            dev=dev,
            checkpoint=checkpoint,
            violations=tuple(float(mean) for mean in np.mean(violations, axis=0)),
            epochs=len(fitted.epochs),
            seconds=time.perf_counter() - began,
            device=str(self.device),
            replicates=tuple(
                Replicate(seed, objective_values(task.objectives, scores))
                for seed, scores in measured
            ),
        )

    def _fit_first_seed(self, report: Report) -> FitResult:
        from safr_study.training import fit

        task = self.task
        # The same texts for every trial, and for each rung.
        sample = rung_sample(self.corpus, task, self._want())

        def at_rung(model: Classifier, epoch: int) -> tuple[float, ...] | None:
            if epoch not in task.rungs:
                return None
            measured = self.measure(model, "dev", sample, self._want())
            return objective_values(task.objectives, measured.scores)

        process = psutil.Process() if task.system_metrics else None
        if process is not None:
            # The first answer is about no time at all.
            _machine_use(process, self.device)

        def tell(epoch: EpochReport) -> None:
            use = None if process is None else _machine_use(process, self.device)
            report(event(replace(epoch, system=use)))

        def again(epochs: tuple[EpochReport, ...]) -> None:
            # The driver may not have heard of the last one, and a rung must not be passed over.
            for epoch in epochs:
                report(event(epoch))

        return fit(
            task.train,
            self.corpus,
            device=self.device,
            resume_from=Path(task.folder) / STATE,
            on_epoch=tell,
            on_resume=again,
            measure=at_rung,
        )

    def _fit_other_seed(self, seed: int, report: Report) -> Classifier:
        from safr_study.training import fit

        return fit(
            self.task.train.model_copy(update={"seed": seed}),
            self.corpus,
            device=self.device,
            resume_from=Path(self.task.folder) / f"{STATE}-{seed}",
            on_epoch=lambda epoch: report(replicate_event(seed, epoch)),
        ).model

    def _want(self) -> Wanted:
        task = self.task
        names = [one.name for one in (*task.objectives, *task.beside)]
        return wanted(dict.fromkeys([*names, *(one.metric for one in task.constraints)]))

    def measure(self, model: Classifier, name: str, split: EncodedSplit, want: Wanted) -> Measured:
        """A model on a split, or on a part of it: its objectives, and which texts it has right."""
        from safr_study.evaluation.scoring import evaluate_model

        task, labels = self.task, split.labels
        found = evaluate_model(
            model,
            split,
            split_name=name,
            config=task.evaluation,
            want=want,
            preset=task.train.preset,
            device=self.device,
            train=self.corpus.train,
        )
        values = tuple(found.scores.value(objective.name) for objective in task.objectives)
        if not task.answers:
            return Measured(found.scores, values)
        right = {
            k: (deleted.top == labels, None if deleted.random is None else deleted.random == labels)
            for k, deleted in found.deleted.items()
        }
        return Measured(found.scores, values, Answers.pack(found.full == labels, right))


def _machine_use(process: psutil.Process, device: torch.device) -> dict[str, float]:
    """What a trial takes of its machine, by the names and units of MLflow's system metrics.

    Use of the processor since the last call in percent (of one core for the process), of memory
    by now in megabytes (1e6 bytes) and percent; those of ``process`` are the trial's alone.
    """
    memory = psutil.virtual_memory()
    use = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / 1e6,
        "system_memory_usage_percentage": memory.percent,
        "process_cpu_utilization_percentage": process.cpu_percent(),
        "process_memory_usage_megabytes": process.memory_info().rss / 1e6,
    }
    if device.type == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info(device)
        use |= {
            "gpu_0_memory_usage_megabytes": (total - free) / 1e6,
            "gpu_0_memory_usage_percentage": 100 * (total - free) / total,
            "process_gpu_memory_usage_megabytes": torch.cuda.max_memory_allocated(device) / 1e6,
        }
        torch.cuda.reset_peak_memory_stats(device)
    return use


def objective_values(objectives: tuple[Objective, ...], scores: Scores) -> tuple[float, ...]:
    """The objectives of a trial in the study's order, each in its unit.

    Raises:
        TrialFailure: an objective has no value for this trial.
    """
    values = {objective.label: scores.value(objective.name) for objective in objectives}
    for label, value in values.items():
        if value is None:
            raise TrialFailure(
                f"{label} has no value for this model: it is undefined where there is no VMASK, "
                "no rationale, or nothing that could be lost; choose another objective"
            )
    return tuple(value for value in values.values() if value is not None)


def trainable(config: dict[str, Any], corpus: EncodedCorpus, work: Work = train_run) -> None:
    """The function that Ray Tune calls on a worker, for every kind of run.

    The files of a run are uploaded before anything is said of them.
    """
    from ray import tune

    task, node, began = RunTask.from_config(config), _node(), time.perf_counter()
    meter = EnergyMeter(task.gpus)

    def tell(reported: dict[str, str]) -> None:
        from safr_study.training import pick_device

        device = str(pick_device(task.gpus))
        spent = Spent(time.perf_counter() - began, device, joules=meter.joules())
        tune.report({**reported, NODE: node, SPENT: json.dumps(to_plain(spent))})

    if node:
        # Before anything can happen to it.
        tune.report({NODE: node})
    ended: Event
    try:
        with trial_dir(task) as (local, upload):

            def uploaded(reported: dict[str, str]) -> None:
                upload()
                tell(reported)

            try:
                ended = work(local, corpus, uploaded)
            except SafrError:
                raise
            except Exception as error:
                ended = _faulty(error, local, task.folder)
            upload()
        if isinstance(ended, RunResult):
            ended = replace(ended, node=node)
            if ended.checkpoint is not None and is_url(task.folder):
                stored = replace(ended.checkpoint, uri=join(task.folder, MODEL))
                ended = replace(ended, checkpoint=stored)
    except ServiceUnreachable as error:
        ended = SharedFault(str(error), unreachable=True)
    except SafrError as error:
        ended = RunResult(*task.key, failure=str(error))
    tell(event(ended))


def _node() -> str:
    """Ray's id of the node that this process runs on; empty outside of Ray."""
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def _faulty(error: Exception, task: RunTask, location: str) -> RunResult | SharedFault:
    """Any other fault ends this run alone; its trace is kept next to its state.

    A disk without room ends all, as every run after this one would fail too.
    """
    folder = Path(task.folder)
    reason = summary(error)
    if _no_room(error):
        return SharedFault(
            f"there is no room to write to {folder} ({reason}); make some, and give the "
            "same command again"
        )
    trace = folder / "error.txt"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        trace.write_text(redacted(traceback.format_exc()), encoding="utf-8")
        reason += f" (details in {join(location, trace.name)})"
    return RunResult(*task.key, failure=f"{type(error).__name__}: {reason}")


def _no_room(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    # safetensors has the number in its text alone.
    return any(f"(os error {number})" in str(error) for number in _NO_ROOM)
