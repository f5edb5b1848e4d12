"""What a worker is given, where it keeps its files, and what it reports.

Tasks and reports are JSON texts, as Ray flattens everything else. Files are in the study's folder,
or on the worker's node and in a store.
"""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from safr_study.errors import ServiceUnreachable
from safr_study.object_store import Mirror, is_url
from safr_study.records import EpochReport
from safr_study.records.run import RunKey, RunResult, Spent
from safr_study.settings import Constraint, CorpusSpec, EvaluationConfig, Objective, TrainConfig

EVENT = "event"
"""Key of the one metric that a run reports to Ray."""
NODE = "node"
"""Key beside it: Ray's id of the node that it was reported from."""
SPENT = "spent"
"""Key beside them: what the worker has taken for the run so far."""
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
    constraints: tuple[Constraint, ...] = ()
    """Constraints of the space."""
    beside: tuple[Objective, ...] = ()
    """Metrics that are measured too, and choose nothing."""
    rungs: tuple[int, ...] = ()
    """Epochs after which the objectives are measured on dev, or on a part of it."""
    rung_texts: int | None = None
    """Number of texts in that part; ``None``: as many as `rung_sample` takes."""
    system_metrics: bool = False
    """Whether each epoch says what it took of its machine."""
    answers: bool = False
    """Whether the right answers of each text are kept."""
    extras: tuple[str, ...] = ()
    """Names of what a table of the paper needs beside its scores: ``curve``, ``capacities``,
    ``part``."""

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


@contextlib.contextmanager
def trial_dir(task: RunTask) -> Iterator[tuple[RunTask, Callable[[], None]]]:
    """A task whose folder is a path on this node, and what brings its files to where they stay.

    A path is worked in directly: the driver made the folder above it, so a node that does not have
    that does not share the home. What lies at an URL is fetched first, so that a run resumes here
    from what another node has kept.

    Raises:
        ServiceUnreachable: the folder is not shared, or the store does not answer; the latter also
            by the upload.
    """
    if not is_url(task.folder):
        shared = Path(task.folder).parent
        if not shared.is_dir():
            raise ServiceUnreachable(
                f"checkpoints: node {socket.gethostname()} does not have {shared}, which the "
                "driver made; let all nodes share the home at one path, or keep the checkpoints "
                "in an object store with --checkpoints"
            )
        yield task, lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="safr-study-") as folder:
        mirror = Mirror(task.folder, Path(folder))
        mirror.pull()
        yield replace(task, folder=folder), mirror.push


def make_trial_root(checkpoints: str) -> None:
    """Make the folder below which workers find their own: for the driver, before they begin."""
    if not is_url(checkpoints):
        Path(checkpoints).mkdir(parents=True, exist_ok=True)


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


def read_spent(result: Mapping[str, Any]) -> Spent | None:
    """What a worker had taken for its run when it reported this; ``None``: it did not say."""
    text = result.get(SPENT)
    return None if text is None else replace(Spent(**json.loads(text)), node=result.get(NODE, ""))


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
