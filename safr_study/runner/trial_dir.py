"""Where a worker keeps a run's files: in the study's folder, or on its node and in a store."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from safr_study.errors import ServiceUnreachable
from safr_study.ledger.retention import MODEL
from safr_study.object_store import Mirror, is_url, join
from safr_study.records.run import RunResult
from safr_study.runner.task import RunTask

Upload = Callable[[], None]


@contextlib.contextmanager
def trial_dir(task: RunTask) -> Iterator[tuple[RunTask, Upload]]:
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


def with_remote_uri(task: RunTask, result: RunResult) -> RunResult:
    """The end of a run with its model's address among the study's checkpoints."""
    if result.checkpoint is None or not is_url(task.folder):
        return result
    checkpoint = replace(result.checkpoint, uri=join(task.folder, MODEL))
    return replace(result, checkpoint=checkpoint)
