"""What runs on a Ray worker: one trial, trained and measured.

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
from typing import TYPE_CHECKING, Any

import numpy as np

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.errors import SafrError, ServiceUnreachable, TrialFailure
from safr_study.object_store import join
from safr_study.records import CheckpointRef, EpochReport, Replicate, Scores
from safr_study.records.metric_values import metric_value
from safr_study.runner.system_metrics import SystemWatch
from safr_study.runner.task import (
    NODE,
    Finished,
    TrialTask,
    epoch_event,
    finished_event,
    replicate_event,
)
from safr_study.runner.trial_dir import Keep, kept_at, workplace
from safr_study.settings import Constraint, Objective, wanted
from safr_study.text import first_line

if TYPE_CHECKING:
    import torch

    from safr_study.model import SafrClassifier
    from safr_study.training import FitResult

Report = Callable[[dict[str, str]], None]
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A full disk, a used-up quota, a file larger than this process may write."""


def run_trial(task: TrialTask, corpus: EncodedCorpus, report: Report) -> Finished:
    """Train and measure one trial, going on from its running state if there is one.

    A trial that runs out of memory goes on once, with twice its share of the GPU.

    Args:
        task: what to do.
        corpus: the study's data.
        report: called with each event, after each epoch.

    Raises:
        TrialFailure: it cannot go on; the sentence says why.
    """
    # torch is slow to import: only workers pay for it.
    import torch

    from safr_study.training import limit_gpu_memory, pick_device

    device = pick_device(task.gpus)
    for share in (task.gpus, 2 * task.gpus):
        limit_gpu_memory(device, share)
        try:
            return _run(task, corpus, report, device)
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


def _run(task: TrialTask, corpus: EncodedCorpus, report: Report, device: torch.device) -> Finished:
    from safr_study.checkpoint.model_files import save_model
    from safr_study.training import computing

    began = time.perf_counter()
    folder = Path(task.folder)
    with computing(task.train.threads):
        fitted, scores = _first_seed(task, corpus, report, device)
        measured = [(task.train.seed, scores)]
        measured += [(s, _other_seed(task, s, corpus, report, device)) for s in task.more_seeds]
    checkpoint: CheckpointRef = save_model(
        folder / "model",
        fitted.model,
        config=task.train,
        corpus=corpus,
        spec=task.corpus,
        evaluation=task.evaluation,
        scores=scores,
        epoch=fitted.best_epoch,
    )
    majority = corpus.majority_accuracy("dev")
    violations = [_violations(task.constraints, one, majority) for _, one in measured]
    return Finished(
        replicates=tuple(
            Replicate(seed, objective_values(task.objectives, one)) for seed, one in measured
        ),
        violations=tuple(float(mean) for mean in np.mean(violations, axis=0)),
        scores=scores,
        checkpoint=checkpoint,
        seconds=time.perf_counter() - began,
        device=str(device),
        epochs=fitted.epochs,
    )


def _first_seed(
    task: TrialTask, corpus: EncodedCorpus, report: Report, device: torch.device
) -> tuple[FitResult, Scores]:
    from safr_study.evaluation import sample_texts
    from safr_study.training import fit

    # The same texts for every trial, and for each rung.
    sample = sample_texts(corpus.dev, task.rung_texts, seed=task.evaluation.seed)

    def at_rung(model: SafrClassifier, epoch: int) -> tuple[float, ...] | None:
        if epoch not in task.rungs:
            return None
        scores = _scores(task, model, sample, corpus, device, superposition=False)
        return objective_values(task.objectives, scores)

    watch = SystemWatch(device) if task.system_metrics else None

    def tell(epoch: EpochReport) -> None:
        taken = None if watch is None else watch.sample()
        report(epoch_event(replace(epoch, system=taken)))

    def again(epochs: tuple[EpochReport, ...]) -> None:
        # The driver may not have heard of the last one, and a rung must not be passed over.
        for epoch in epochs:
            report(epoch_event(epoch))

    fitted = fit(
        task.train,
        corpus,
        device=device,
        resume_from=Path(task.folder) / "state",
        on_epoch=tell,
        on_resume=again,
        measure=at_rung,
    )
    return fitted, _scores(task, fitted.model, corpus.dev, corpus, device, superposition=True)


def _other_seed(
    task: TrialTask, seed: int, corpus: EncodedCorpus, report: Report, device: torch.device
) -> Scores:
    from safr_study.training import fit

    def alive(epoch: EpochReport) -> None:
        report(replicate_event(seed, epoch))

    fitted = fit(
        task.train.model_copy(update={"seed": seed}),
        corpus,
        device=device,
        resume_from=Path(task.folder) / f"state-{seed}",
        on_epoch=alive,
    )
    return _scores(task, fitted.model, corpus.dev, corpus, device, superposition=False)


def _scores(
    task: TrialTask,
    model: SafrClassifier,
    split: EncodedSplit,
    corpus: EncodedCorpus,
    device: torch.device,
    *,
    superposition: bool,
) -> Scores:
    from safr_study.evaluation import score_model

    constrained = (Constraint.parse_text(text).metric for text in task.constraints)
    names = [*(objective.name for objective in task.objectives), *constrained]
    want = wanted(dict.fromkeys(names))
    return score_model(
        model,
        split,
        split_name="dev",
        classes=len(corpus.class_names),
        config=task.evaluation,
        want=replace(want, superposition=want.superposition or superposition),
        preset=task.train.preset,
        device=device,
    )


def objective_values(objectives: tuple[Objective, ...], scores: Scores) -> tuple[float, ...]:
    """The objectives of a trial in the study's order, each in its unit.

    Raises:
        TrialFailure: an objective has no value for this trial.
    """
    values = []
    for objective in objectives:
        value = metric_value(scores, objective)
        if value is None:
            raise TrialFailure(
                f"{objective.label} has no value for this model: it is undefined where there is "
                "no VMASK, no rationale, or nothing that could be lost; choose another objective"
            )
        values.append(value)
    return tuple(values)


def _violations(texts: tuple[str, ...], scores: Scores, majority: float) -> list[float]:
    constraints = [Constraint.parse_text(text) for text in texts]
    return [one.violation(metric_value(scores, one.objective), majority) for one in constraints]


def trainable(config: dict[str, Any], corpus: EncodedCorpus) -> None:
    """The function that Ray Tune calls on a worker."""
    from ray import tune

    task = TrialTask.from_config(config)
    if node := _node():
        # Before anything can happen to it.
        tune.report({NODE: node})
    try:
        with workplace(task) as (here, keep):
            finished = kept_at(task, _guarded(here, corpus, tune.report, keep, task.folder))
    except ServiceUnreachable as error:
        finished = Finished(failure=str(error), ends_study=True, unreachable=True)
    except SafrError as error:
        finished = Finished(failure=str(error))
    tune.report(finished_event(replace(finished, node=_node())))


def _guarded(
    task: TrialTask, corpus: EncodedCorpus, report: Report, keep: Keep, place: str
) -> Finished:
    """A trial's end, whatever it is; its files are kept before anything is said of them.

    Raises:
        ServiceUnreachable: they cannot be kept.
    """

    def kept(event: dict[str, str]) -> None:
        keep()
        report({**event, NODE: _node()})

    try:
        finished = run_trial(task, corpus, kept)
    except ServiceUnreachable:
        raise
    except TrialFailure as failure:
        finished = Finished(failure=str(failure))
    except Exception as error:
        finished = _faulty(error, Path(task.folder), place)
    keep()
    return finished


def _node() -> str:
    """Ray's id of the node that this process runs on; empty outside of Ray."""
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


def _faulty(error: Exception, folder: Path, place: str) -> Finished:
    """Any other fault ends this trial alone; its trace is kept beside its state.

    A disk without room ends the study, as every trial after this one would fail too.
    """
    summary = first_line(error)
    if _no_room(error):
        return Finished(
            failure=f"there is no room to write to {folder} ({summary}); make some, and give the "
            "same command again",
            ends_study=True,
        )
    trace = folder / "error.txt"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        trace.write_text(traceback.format_exc(), encoding="utf-8")
        summary += f" (details in {join(place, trace.name)})"
    return Finished(failure=f"{type(error).__name__}: {summary}")


def _no_room(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    # safetensors has the number in its text alone.
    return any(f"(os error {number})" in str(error) for number in _NO_ROOM)
