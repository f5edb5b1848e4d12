"""What runs on a Ray worker: one trial, trained and measured.

Thin on purpose: it builds settings, calls ``training`` and ``evaluation``, and reports. What it
reports is one JSON text per event, as Ray flattens everything else.
"""

from __future__ import annotations

import json
import shutil
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safr_study.data import EncodedCorpus
from safr_study.errors import TrialFailure
from safr_study.records import (
    CheckpointRef,
    EpochReport,
    Scores,
    epoch_from_plain,
    scores_from_plain,
    to_plain,
)
from safr_study.report.metrics import metric_value
from safr_study.settings import CorpusSpec, EvaluationConfig, Objective, TrainConfig, wanted

EVENT = "event"
"""Key of the one metric that a trial reports to Ray."""


@dataclass(frozen=True, slots=True)
class TrialTask:
    """All that a worker needs to run one trial, beside the corpus."""

    number: int
    train: TrainConfig
    corpus: CorpusSpec
    evaluation: EvaluationConfig
    objectives: tuple[Objective, ...]
    folder: str
    """Absolute path for the trial's running state and best model."""
    gpus: float

    def to_config(self) -> dict[str, Any]:
        """As the configuration of a Ray trial."""
        plain = {
            "number": self.number,
            "train": self.train.model_dump(mode="json"),
            "corpus": self.corpus.model_dump(mode="json"),
            "evaluation": self.evaluation.model_dump(mode="json"),
            "objectives": [objective.name for objective in self.objectives],
            "folder": self.folder,
            "gpus": self.gpus,
        }
        return {"task": json.dumps(plain)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TrialTask:
        """The inverse of ``to_config``."""
        plain = json.loads(config["task"])
        return cls(
            number=plain["number"],
            train=TrainConfig.model_validate(plain["train"]),
            corpus=CorpusSpec.model_validate(plain["corpus"]),
            evaluation=EvaluationConfig.model_validate(plain["evaluation"]),
            objectives=tuple(Objective(name=name) for name in plain["objectives"]),
            folder=plain["folder"],
            gpus=plain["gpus"],
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial's last event: its scores and model, or why there are none."""

    scores: Scores | None
    checkpoint: CheckpointRef | None
    seconds: float
    """Training and evaluation in this process."""
    device: str
    epochs: tuple[EpochReport, ...] = ()
    """All of the training: an epoch that was saved but not reported before an interruption too."""
    failure: str | None = None


def run_trial(task: TrialTask, corpus: EncodedCorpus, report: Any) -> Finished:
    """Train and measure one trial, going on from its running state if there is one.

    Args:
        task: what to do.
        corpus: the study's data.
        report: called with each ``EpochReport``.

    Raises:
        TrialFailure: it cannot go on; the sentence says why.
    """
    # torch is slow to import: only workers pay for it.
    from safr_study.evaluation import score_model
    from safr_study.training import computing, fit, limit_gpu_memory, pick_device, save_model

    began = time.perf_counter()
    device = pick_device(task.gpus)
    limit_gpu_memory(device, task.gpus)
    folder = Path(task.folder)
    state = folder / "state"
    with computing(task.train.threads):
        fitted = fit(task.train, corpus, device=device, resume_from=state, on_epoch=report)
        scores = score_model(
            fitted.model,
            corpus.dev,
            split_name="dev",
            classes=len(corpus.class_names),
            config=task.evaluation,
            want=replace(wanted(o.name for o in task.objectives), superposition=True),
            preset=task.train.preset,
            device=device,
        )
    checkpoint = save_model(
        folder / "model",
        fitted.model,
        config=task.train,
        corpus=corpus,
        spec=task.corpus,
        evaluation=task.evaluation,
        scores=scores,
        epoch=fitted.best_epoch,
    )
    # The optimiser's state is of no use to a finished trial, and twice the size of its model.
    shutil.rmtree(state, ignore_errors=True)
    seconds = time.perf_counter() - began
    return Finished(scores, checkpoint, seconds, str(device), fitted.epochs)


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


def trainable(config: dict[str, Any], corpus: EncodedCorpus) -> None:
    """The function that Ray Tune calls on a worker."""
    from ray import tune

    task = TrialTask.from_config(config)

    def report(epoch: EpochReport) -> None:
        tune.report({EVENT: json.dumps({"epoch": to_plain(epoch)})})

    try:
        finished = run_trial(task, corpus, report)
    except TrialFailure as failure:
        finished = Finished(None, None, 0.0, "", failure=str(failure))
    except Exception as error:
        # Any other fault ends this trial alone; its trace is kept beside its state.
        folder = Path(task.folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        summary = " ".join(str(error).split())[:300]
        sentence = f"{type(error).__name__}: {summary} (details in {folder / 'error.txt'})"
        finished = Finished(None, None, 0.0, "", failure=sentence)
    tune.report({EVENT: json.dumps({"finished": to_plain(finished)})})


def read_event(text: str) -> EpochReport | Finished:
    """What a worker reported."""
    event = json.loads(text)
    if "epoch" in event:
        return epoch_from_plain(event["epoch"])
    plain = event["finished"]
    return Finished(
        **{
            **plain,
            "scores": scores_from_plain(plain["scores"]) if plain["scores"] else None,
            "checkpoint": CheckpointRef(**plain["checkpoint"]) if plain["checkpoint"] else None,
            "epochs": tuple(epoch_from_plain(epoch) for epoch in plain["epochs"]),
        }
    )
