"""What a worker is given, and what it reports: plain JSON, as Ray flattens everything else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from safr_study.records import (
    CheckpointRef,
    EpochReport,
    Replicate,
    Scores,
    epoch_from_plain,
    scores_from_plain,
    to_plain,
)
from safr_study.settings import CorpusSpec, EvaluationConfig, Objective, TrainConfig

EVENT = "event"
"""Key of the one metric that a trial reports to Ray."""
NODE = "node"
"""Key beside it: Ray's id of the node that it was reported from."""


@dataclass(frozen=True, slots=True)
class TrialTask:
    """All that a worker needs to run one trial, beside the corpus."""

    number: int
    train: TrainConfig
    corpus: CorpusSpec
    evaluation: EvaluationConfig
    objectives: tuple[Objective, ...]
    folder: str
    """Of the trial's running state and best model: an absolute path, or an URL."""
    gpus: float
    more_seeds: tuple[int, ...] = ()
    """Of the trainings that repeat the one of ``train`` once it is done."""
    constraints: tuple[str, ...] = ()
    """Of the space, as text."""
    rungs: tuple[int, ...] = ()
    """Epochs after which the objectives are measured on a part of dev."""
    rung_texts: int = 1
    """Texts of that part."""
    system_metrics: bool = False
    """Whether each epoch says what it took of its machine."""

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
            "more_seeds": list(self.more_seeds),
            "constraints": list(self.constraints),
            "rungs": list(self.rungs),
            "rung_texts": self.rung_texts,
            "system_metrics": self.system_metrics,
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
            more_seeds=tuple(plain["more_seeds"]),
            constraints=tuple(plain["constraints"]),
            rungs=tuple(plain["rungs"]),
            rung_texts=plain["rung_texts"],
            system_metrics=plain["system_metrics"],
        )


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial's last event: what was measured and kept, or why there is nothing."""

    replicates: tuple[Replicate, ...] = ()
    """The objectives of each seed, the trial's own first."""
    violations: tuple[float, ...] = ()
    """Of the constraints, means over the seeds."""
    scores: Scores | None = None
    """Of the first seed, on dev."""
    checkpoint: CheckpointRef | None = None
    """Of the first seed."""
    seconds: float = 0.0
    """Training and evaluation in this process."""
    device: str = ""
    node: str = ""
    """Ray's id of the node that it ended on."""
    epochs: tuple[EpochReport, ...] = ()
    """All of the training of the first seed: an epoch that was saved but not reported before an
    interruption too."""
    failure: str | None = None
    ends_study: bool = False
    """Whether the failure is none of this trial's, and would be that of every other: the study
    ends, and this trial goes on with it another time."""
    unreachable: bool = False
    """Whether it ends because a service gives no answer."""


def epoch_event(epoch: EpochReport) -> dict[str, str]:
    """An epoch of the first seed, as Ray's metrics."""
    return {EVENT: json.dumps({"epoch": to_plain(epoch)})}


def replicate_event(seed: int, epoch: EpochReport) -> dict[str, str]:
    """A sign of life from another seed, at which Ray can stop the trial."""
    return {EVENT: json.dumps({"replicate": {"seed": seed, "epoch": epoch.epoch}})}


def finished_event(finished: Finished) -> dict[str, str]:
    """The end of a trial, as Ray's metrics."""
    return {EVENT: json.dumps({"finished": to_plain(finished)})}


def read_event(text: str) -> EpochReport | Finished | None:
    """What a worker reported; ``None`` for a sign of life."""
    event = json.loads(text)
    if "epoch" in event:
        return epoch_from_plain(event["epoch"])
    if "finished" not in event:
        return None
    plain = event["finished"]
    return Finished(
        **{
            **plain,
            "replicates": tuple(
                Replicate(one["seed"], tuple(one["values"])) for one in plain["replicates"]
            ),
            "violations": tuple(plain["violations"]),
            "scores": scores_from_plain(plain["scores"]) if plain["scores"] else None,
            "checkpoint": CheckpointRef(**plain["checkpoint"]) if plain["checkpoint"] else None,
            "epochs": tuple(epoch_from_plain(epoch) for epoch in plain["epochs"]),
        }
    )
