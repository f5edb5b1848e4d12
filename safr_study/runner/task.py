"""What a worker is given, and what it reports: JSON texts, as Ray flattens everything else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from safr_study.records import EpochReport
from safr_study.records.run import RunKey, RunResult
from safr_study.settings import CorpusSpec, EvaluationConfig, Objective, TrainConfig

EVENT = "event"
"""Key of the one metric that a run reports to Ray."""
NODE = "node"
"""Key beside it: Ray's id of the node that it was reported from."""
_TASK = "task"


@dataclass(frozen=True, slots=True)
class RunTask:
    """All that a worker needs for one run, beside the corpus."""

    number: int
    """The trial's number, or that of the run in a table of the paper."""
    train: TrainConfig
    corpus: CorpusSpec
    evaluation: EvaluationConfig
    objectives: tuple[Objective, ...]
    folder: str
    """Folder of the running state and the best model: an absolute path, or an URL."""
    gpus: float
    more_seeds: tuple[int, ...] = ()
    """Seeds of the trainings that repeat the one of ``train`` once it is done."""
    constraints: tuple[str, ...] = ()
    """The space's constraints, as text."""
    rungs: tuple[int, ...] = ()
    """Epochs after which the objectives are measured on a part of dev."""
    rung_texts: int = 1
    """Number of texts in that part."""
    system_metrics: bool = False
    """Whether each epoch says what it took of its machine."""
    answers: bool = False
    """Whether the right answers of each text are kept."""
    extras: tuple[str, ...] = ()
    """Names of what a table of the paper needs beside its scores: ``curve``, ``capacities``."""

    @property
    def key(self) -> RunKey:
        """Trial and seed."""
        return self.number, self.train.seed

    def to_config(self) -> dict[str, Any]:
        """The configuration of a Ray trial."""
        return {_TASK: TypeAdapter(RunTask).dump_json(self).decode()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> RunTask:
        """The inverse of ``to_config``."""
        return TypeAdapter(RunTask).validate_json(config[_TASK])


@dataclass(frozen=True, slots=True)
class SharedFault:
    """A failure that every other run would meet too: all end, and this one waits with them."""

    sentence: str
    unreachable: bool = False
    """Whether a service gives no answer."""
    bad_input: str | None = None
    """Field that was given wrongly, if that is the fault."""


Event = EpochReport | RunResult | SharedFault
"""What a worker reports."""
_KINDS: dict[str, type[Event]] = {"epoch": EpochReport, "ended": RunResult, "fault": SharedFault}


def event(reported: Event) -> dict[str, str]:
    """An epoch of the first seed, or the end of a run, as Ray's metrics."""
    (kind,) = (name for name, record in _KINDS.items() if isinstance(reported, record))
    return {EVENT: json.dumps({kind: _adapter(kind).dump_python(reported)})}


def replicate_event(seed: int, epoch: EpochReport) -> dict[str, str]:
    """A sign of life from another seed, at which Ray can stop the trial."""
    return {EVENT: json.dumps({"replicate": {"seed": seed, "epoch": epoch.epoch}})}


def read_event(text: str) -> Event | None:
    """What a worker reported; ``None`` for a sign of life."""
    ((kind, plain),) = json.loads(text).items()
    return _adapter(kind).validate_python(plain) if kind in _KINDS else None


@cache
def _adapter(kind: str) -> TypeAdapter[Event]:
    return TypeAdapter(_KINDS[kind])
