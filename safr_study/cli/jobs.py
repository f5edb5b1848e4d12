"""The jobs that ``submit`` began: for that command itself, ``status`` and ``stop``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from safr_study.cli import output
from safr_study.errors import BadInput, ServiceUnreachable, StudyInterrupted
from safr_study.render.text_table import TextTable

if TYPE_CHECKING:
    from safr_study.cluster.jobs.job import Job
    from safr_study.cluster.jobs.server import JobServer


def show_jobs(address: str, study: str | None, *, watch: bool, as_json: bool) -> None:
    """The jobs of a study, or all, on a cluster; or the log of a study's last one."""
    from safr_study.cluster.jobs.job import jobs_of
    from safr_study.cluster.jobs.server import connect

    if watch and study is None:
        raise BadInput("watch", "needs the name of one study")
    server = connect(address)
    jobs = jobs_of(server, study)
    if study is not None and not jobs:
        raise _unknown(study, server)
    if watch:
        follow_job(server, jobs[0], as_json=as_json)
    elif as_json:
        output.print_json({"jobs": [job_json(job) for job in jobs]})
    elif jobs:
        output.show(_table(jobs))
    else:
        output.out().print("No job yet; begin one: safr-study submit")


def stop_jobs(address: str, study: str, *, timeout: float, as_json: bool) -> None:
    """End the running job of a study, and wait until it has ended."""
    from safr_study.cluster.jobs.job import jobs_of, stop_job, wait
    from safr_study.cluster.jobs.server import connect

    server = connect(address)
    jobs = jobs_of(server, study)
    if not jobs:
        raise _unknown(study, server)
    running = [job for job in jobs if not job.ended_yet]
    if not running:
        raise BadInput("study", f"no job of {study!r} is running: there is nothing to stop")
    for job in running:
        stop_job(server, job)
        output.err().print(f"asked job {job.id} to end; waiting", soft_wrap=True)
    ended = [wait(server, job, timeout=timeout) for job in running]
    if as_json:
        output.print_json({"jobs": [job_json(job) for job in ended]})
        return
    for job in ended:
        output.out().print(f"Job {job.id} of study {study}: {job.state}.", soft_wrap=True)
    output.out().print("The command that submitted it goes on with the study.", soft_wrap=True)


def follow_job(server: JobServer, job: Job, *, as_json: bool) -> None:
    """Show a job's log until it ends, and exit with its code."""
    from safr_study.cluster.jobs.job import follow

    stream = sys.stderr if as_json else sys.stdout

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    try:
        ended = follow(server, job, write)
    except KeyboardInterrupt:
        raise StudyInterrupted(
            f"job {job.id} goes on without this terminal; {watch_command(server, job)} shows it "
            f"again, {stop_command(server, job)} ends it"
        ) from None
    if as_json:
        output.print_json(job_json(ended))
    if ended.state == "failed" and ended.exit_code == ServiceUnreachable.exit_code:
        raise ServiceUnreachable(
            f"job {ended.id} failed ({ended.message}); the same command goes on with the study"
        )
    raise typer.Exit(ended.exit_code or 0)


def job_json(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    from safr_study.records import to_plain

    plain: dict[str, Any] = to_plain(job)
    return plain


def watch_command(server: JobServer, job: Job) -> str:
    """The command that shows its log."""
    return f"safr-study status {job.study} --ray {server.address} --watch"


def stop_command(server: JobServer, job: Job) -> str:
    """The command that ends it."""
    return f"safr-study stop {job.study} --ray {server.address}"


def _table(jobs: Sequence[Job]) -> TextTable:
    rows = []
    for job in jobs:
        began = "" if job.began is None else f"{datetime.fromtimestamp(job.began):%F %T}"
        took = ""
        if job.began is not None and job.ended is not None:
            took = output.duration(job.ended - job.began)
        code = "" if job.exit_code is None else str(job.exit_code)
        rows.append((job.id, job.study, job.state, began, took, code))
    return TextTable("", ("job", "study", "now", "submitted", ">took", ">exit code"), rows)


def _unknown(study: str, server: JobServer) -> BadInput:
    return BadInput(
        "study", f"{study!r} has no job at {server.address}; see safr-study status --ray"
    )
