"""What runs on a Ray worker: one run, trained or loaded, and measured.

Thin on purpose: it builds settings, calls ``training`` and ``evaluation``, and reports.
"""

from __future__ import annotations

import contextlib
import errno
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.errors import SafrError, ServiceUnreachable, TrialFailure
from safr_study.ledger.retention import MODEL, STATE
from safr_study.object_store import join
from safr_study.records import EpochReport, Replicate, Scores
from safr_study.records.run import Answers, Measured, RunResult
from safr_study.redaction import redacted
from safr_study.runner.system_metrics import SystemWatch
from safr_study.runner.task import NODE, Event, RunTask, SharedFault, event, replicate_event
from safr_study.runner.trial_dir import Upload, trial_dir, with_remote_uri
from safr_study.settings import Constraint, Objective, Wanted, wanted
from safr_study.text import summary

if TYPE_CHECKING:
    import torch

    from safr_study.model import SafrClassifier
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
    return with_gpu_share(task, lambda device: _train(task, corpus, report, device))


def measure_on_test(task: RunTask, corpus: EncodedCorpus, _report: Report) -> RunResult:
    """Measure the model of a finished run on the test set.

    Raises:
        SafrError: there is no such model, or what it computes is not finite.
    """
    from safr_study.checkpoint.model_files import load_model

    def step(device: torch.device) -> RunResult:
        model = load_model(Path(task.folder) / MODEL, device=device).model
        want = wanted(objective.name for objective in task.objectives)
        test = _measure(task, model, "test", corpus.split("test"), device, want)
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
    known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return known or any(word in str(error) for word in words)


def _train(task: RunTask, corpus: EncodedCorpus, report: Report, device: torch.device) -> RunResult:
    from safr_study.checkpoint.model_files import save_model

    began = time.perf_counter()
    fitted = _fit_first_seed(task, corpus, report, device)
    want = _want(task)
    complete = replace(want, superposition=True)
    dev = _measure(task, fitted.model, "dev", corpus.dev, device, complete)
    measured = [(task.train.seed, dev.scores)]
    for seed in task.more_seeds:
        model = _fit_other_seed(task, seed, corpus, report, device)
        other = _measure(task, model, "dev", corpus.dev, device, want)
        measured.append((seed, other.scores))
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
    majority = corpus.majority_accuracy("dev")
    violations = [_violations(task.constraints, scores, majority) for _, scores in measured]
    return RunResult(
        *task.key,
        dev=dev,
        checkpoint=checkpoint,
        violations=tuple(float(mean) for mean in np.mean(violations, axis=0)),
        epochs=len(fitted.epochs),
        seconds=time.perf_counter() - began,
        device=str(device),
        replicates=tuple(
            Replicate(seed, objective_values(task.objectives, scores)) for seed, scores in measured
        ),
        reports=fitted.epochs,
    )


def _fit_first_seed(
    task: RunTask, corpus: EncodedCorpus, report: Report, device: torch.device
) -> FitResult:
    from safr_study.evaluation.deletion import sample_texts
    from safr_study.training import fit

    # The same texts for every trial, and for each rung.
    sample = sample_texts(corpus.dev, task.rung_texts, seed=task.evaluation.seed)

    def at_rung(model: SafrClassifier, epoch: int) -> tuple[float, ...] | None:
        if epoch not in task.rungs:
            return None
        measured = _measure(task, model, "dev", sample, device, _want(task))
        return objective_values(task.objectives, measured.scores)

    watch = SystemWatch(device) if task.system_metrics else None

    def tell(epoch: EpochReport) -> None:
        taken = None if watch is None else watch.sample()
        report(event(replace(epoch, system=taken)))

    def again(epochs: tuple[EpochReport, ...]) -> None:
        # The driver may not have heard of the last one, and a rung must not be passed over.
        for epoch in epochs:
            report(event(epoch))

    return fit(
        task.train,
        corpus,
        device=device,
        resume_from=Path(task.folder) / STATE,
        on_epoch=tell,
        on_resume=again,
        measure=at_rung,
    )


def _fit_other_seed(
    task: RunTask, seed: int, corpus: EncodedCorpus, report: Report, device: torch.device
) -> SafrClassifier:
    from safr_study.training import fit

    def alive(epoch: EpochReport) -> None:
        report(replicate_event(seed, epoch))

    return fit(
        task.train.model_copy(update={"seed": seed}),
        corpus,
        device=device,
        resume_from=Path(task.folder) / f"{STATE}-{seed}",
        on_epoch=alive,
    ).model


def _want(task: RunTask) -> Wanted:
    constrained = (Constraint.parse_text(text).metric for text in task.constraints)
    names = [*(objective.name for objective in task.objectives), *constrained]
    return wanted(dict.fromkeys(names))


def _measure(
    task: RunTask,
    model: SafrClassifier,
    name: str,
    split: EncodedSplit,
    device: torch.device,
    want: Wanted,
) -> Measured:
    """A model on a split, or on a part of it: its objectives, and which texts it has right."""
    from safr_study.evaluation.scoring import evaluate_model

    found = evaluate_model(
        model,
        split,
        split_name=name,
        config=task.evaluation,
        want=want,
        preset=task.train.preset,
        device=device,
    )
    values = tuple(found.scores.value(objective.name) for objective in task.objectives)
    if not task.answers:
        return Measured(found.scores, values)
    right = {
        k: (
            deleted.top == split.labels,
            None if deleted.random is None else deleted.random == split.labels,
        )
        for k, deleted in found.deleted.items()
    }
    return Measured(found.scores, values, Answers.pack(found.full == split.labels, right))


def objective_values(objectives: tuple[Objective, ...], scores: Scores) -> tuple[float, ...]:
    """The objectives of a trial in the study's order, each in its unit.

    Raises:
        TrialFailure: an objective has no value for this trial.
    """
    values = []
    for objective in objectives:
        value = scores.value(objective.name)
        if value is None:
            raise TrialFailure(
                f"{objective.label} has no value for this model: it is undefined where there is "
                "no VMASK, no rationale, or nothing that could be lost; choose another objective"
            )
        values.append(value)
    return tuple(values)


def _violations(texts: tuple[str, ...], scores: Scores, majority: float) -> list[float]:
    constraints = [Constraint.parse_text(text) for text in texts]
    return [one.violation(scores.value(one.metric), majority) for one in constraints]


def trainable(config: dict[str, Any], corpus: EncodedCorpus, work: Work = train_run) -> None:
    """The function that Ray Tune calls on a worker, for every kind of run."""
    from ray import tune

    task = RunTask.from_config(config)
    if node := _node():
        # Before anything can happen to it.
        tune.report({NODE: node})
    ended: Event
    try:
        with trial_dir(task) as (local, upload):
            ended = _guarded(work, local, corpus, tune.report, upload, task.folder)
        if isinstance(ended, RunResult):
            ended = with_remote_uri(task, replace(ended, node=_node()))
    except ServiceUnreachable as error:
        ended = SharedFault(str(error), unreachable=True)
    except SafrError as error:
        ended = RunResult(*task.key, failure=str(error))
    tune.report(event(ended))


def _guarded(
    work: Work,
    task: RunTask,
    corpus: EncodedCorpus,
    report: Report,
    upload: Upload,
    location: str,
) -> RunResult | SharedFault:
    """A run's end, whatever it is; its files are uploaded before anything is said of them.

    Raises:
        ServiceUnreachable: they cannot be uploaded.
    """

    def uploaded(reported: dict[str, str]) -> None:
        upload()
        report({**reported, NODE: _node()})

    ended: RunResult | SharedFault
    try:
        ended = work(task, corpus, uploaded)
    except ServiceUnreachable:
        raise
    except SafrError as failure:
        ended = RunResult(*task.key, failure=str(failure))
    except Exception as error:
        ended = _faulty(error, task, location)
    upload()
    return ended


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
