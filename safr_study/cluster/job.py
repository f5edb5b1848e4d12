"""A study as a Ray job: its code on the way, found again by its name, followed, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safr_study.cluster.job_server import JobServer
from safr_study.errors import EXPECTED_CODES, ServiceUnreachable, StudyInterrupted, one_line
from safr_study.redaction import redacted

Code = Literal["ship", "image"]
"""Sent along, or found in the image of the cluster's nodes."""
COMMAND_VARIABLE = "SAFR_STUDY_COMMAND"
"""Arguments, as JSON, by which a job was submitted; for those that look at the study."""
STUDY_KEY = "safr_study"
"""Key of a job's metadata: the name of its study."""
USER_KEY = "safr_study_user"
"""The same: name of the user who submitted it, on the machine from which that was."""
_STATES = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "STOPPED": "stopped",
    "SUCCEEDED": "done",
    "FAILED": "failed",
}
_LOOK_SECONDS = 1.0
_LOST_TIMES = 5
"""A connection that breaks is opened again so often before it is given up."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment."""

    id: str
    """Ray's submission id."""
    study: str
    state: str
    """``waiting``, ``running``, ``done``, ``failed`` or ``stopped``."""
    began: float | None
    """When it was submitted, in seconds since the epoch."""
    ended: float | None
    """When it ended, in seconds since the epoch."""
    exit_code: int | None
    """What the command line makes of its end; ``None``: it has not ended.

    That of ``safr-study`` on the cluster; 130 where the job was stopped; 4 where the cluster could
    not run it, or where it was killed.
    """
    message: str
    """Ray's word on it, one line."""
    user: str = ""
    """Who submitted it, by the name on their machine; empty where that is not known."""

    @property
    def ended_yet(self) -> bool:
        """Whether it is over."""
        return self.exit_code is not None


@contextlib.contextmanager
def shipped_code(code: Code, space_file: Path | None) -> Iterator[list[str]]:
    """Folders of Python packages for Ray's ``py_modules``.

    Copies, without what Python has compiled: equal code is then one package for Ray, which sends
    it once.

    Args:
        code: whether to ship the code.
        space_file: a search space that the cluster does not have; it gets a place among the
            packaged ones, by its name without ``.yaml``.
    """
    import safr_study
    import search_spaces

    sources = [Path(str(search_spaces.__file__)).parent]
    if code == "ship":
        sources.append(Path(str(safr_study.__file__)).parent)
    elif space_file is None:
        sources = []
    with tempfile.TemporaryDirectory(prefix="safr-study-") as folder:
        copies = [Path(folder) / source.name for source in sources]
        for source, copy in zip(sources, copies, strict=True):
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        if space_file is not None:
            target = Path(folder) / sources[0].name / f"{space_file.stem}.yaml"
            target.write_bytes(space_file.read_bytes())
        yield [str(copy) for copy in copies]


def asked_by(arguments: Sequence[str]) -> list[str]:
    """The arguments by which a person asked for what this process does.

    Args:
        arguments: of this process; in a job, those of the command that submitted it are returned.
    """
    try:
        submitted = json.loads(os.environ.get(COMMAND_VARIABLE, ""))
    except ValueError:
        return list(arguments)
    return [str(one) for one in submitted] if isinstance(submitted, list) else list(arguments)


def find_job(server: JobServer, job_id: str) -> Job:
    """A job as it stands now.

    Raises:
        ServiceUnreachable: the cluster does not answer, or has no such job.
    """
    with server.answering():
        return _job(server.client.get_job_info(job_id))


def jobs_of(server: JobServer, study: str | None = None) -> list[Job]:
    """The jobs of a study, or of all, newest first.

    Raises:
        ServiceUnreachable: the cluster does not answer.
    """
    with server.answering():
        found = [one for one in server.client.list_jobs() if STUDY_KEY in (one.metadata or {})]
    jobs = [job for job in map(_job, found) if study in (None, job.study)]
    return sorted(jobs, key=lambda job: job.began or 0.0, reverse=True)


def follow(server: JobServer, job: Job, write: Callable[[str], None]) -> Job:
    """Write a job's log as it grows, until the job has ended; the job then.

    Args:
        server: of the cluster.
        job: of any state; what it wrote before is written too.
        write: called with pieces of text.

    Raises:
        ServiceUnreachable: the connection was lost again and again.
    """
    written = 0

    async def tail() -> None:
        nonlocal written
        seen = 0
        async with contextlib.aclosing(server.client.tail_job_logs(job.id)) as pieces:
            async for text in pieces:
                fresh = text[max(0, written - seen) :]
                seen += len(text)
                written = max(written, seen)
                if fresh:
                    write(fresh)

    for left in reversed(range(_LOST_TIMES)):
        try:
            with server.answering():
                asyncio.run(tail())
            job = find_job(server, job.id)
        except ServiceUnreachable:
            if not left:
                raise
            time.sleep(_LOOK_SECONDS)
            continue
        if job.ended_yet:
            return job
    return wait(server, job)


def wait(server: JobServer, job: Job, *, timeout: float | None = None) -> Job:
    """A job, once it has ended.

    Args:
        server: of the cluster.
        job: of any state.
        timeout: seconds to wait at most.

    Raises:
        ServiceUnreachable: the cluster does not answer, or the time is up.
    """
    began = time.monotonic()
    while not job.ended_yet:
        if timeout is not None and time.monotonic() - began > timeout:
            raise ServiceUnreachable(
                f"job {job.id} has not ended within {timeout:g} s; it is asked to and may still be "
                f"ending: look with safr-study status {job.study} --ray {server.address}"
            )
        time.sleep(_LOOK_SECONDS)
        job = find_job(server, job.id)
    return job


def stop_job(server: JobServer, job: Job) -> None:
    """Ask a job to end cleanly, as Ctrl-C does; returns at once.

    Raises:
        ServiceUnreachable: the cluster does not answer.
    """
    with server.answering():
        server.client.stop_job(job.id)


def _job(details: Any) -> Job:
    status = str(getattr(details.status, "value", details.status))
    metadata = details.metadata or {}
    message = redacted(" ".join((details.message or "").split()))
    return Job(
        id=details.submission_id,
        study=metadata.get(STUDY_KEY, ""),
        state=_STATES.get(status, status.lower()),
        began=_seconds(details.start_time),
        ended=_seconds(details.end_time),
        exit_code=_exit_code(status, details.driver_exit_code),
        # The log's tail, which is shown elsewhere, comes after the first sentence.
        message=message.partition(", last available logs")[0][:300],
        user=one_line(metadata.get(USER_KEY, ""))[:40],
    )


def _exit_code(status: str, of_driver: int | None) -> int | None:
    if status == "SUCCEEDED":
        return 0
    if status == "STOPPED":
        return StudyInterrupted.exit_code
    if status != "FAILED":
        return None
    return of_driver if of_driver in EXPECTED_CODES else ServiceUnreachable.exit_code


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
