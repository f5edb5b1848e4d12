"""``submit``: the study of a ``search`` command as a job of a remote Ray cluster; jobs begun so."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.cli.search import search
from safr_study.errors import BadInput, ServiceUnreachable, StudyInterrupted
from safr_study.render.text_table import TextTable
from safr_study.text import duration

if TYPE_CHECKING:
    from safr_study.cluster.job import Job
    from safr_study.cluster.job_server import JobServer

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Options of ``search`` are its own to read."""
_HERE_ALONE = ("address", "dry_run")


def submit(
    context: typer.Context,
    ray: Annotated[
        str,
        option(
            "URL of the cluster's dashboard: http://HEAD:8265.", envvar="RAY_API_SERVER_ADDRESS"
        ),
    ],
    follow: Annotated[
        bool, option("Show its log until it ends; exit with its code.", "--follow")
    ] = False,
    code: Annotated[
        Literal["ship", "image"], option("Send this safr-study along, or use the one of the nodes.")
    ] = "ship",
    env: Annotated[
        list[str] | None, option("A variable to pass on, no secret; repeat.", metavar="NAME")
    ] = None,
    json: options.Json = False,
) -> None:
    """Run the study of a search command as a job of a Ray cluster; takes all options of search.

    Paths of data, and the home (~/.safr-study unless SAFR_STUDY_HOME or --home says otherwise), are
    those of the cluster's head. A search space may be a file here.
    The cluster's token is read from RAY_AUTH_TOKEN, or from the file of RAY_AUTH_TOKEN_PATH. Every
    other secret belongs to the environment of the cluster's nodes. A lost cluster or a stopped
    job: the same command goes on with the study.

    Exit codes with --follow are those of search; 130 where the job was stopped, 4 where the
    cluster lost it.

    Examples:

      safr-study submit --ray http://127.0.0.1:8265 --follow --dataset imdb --study s1

      safr-study submit --ray http://127.0.0.1:8265 --dataset sst2 --study s2 --trials 60
      --storage postgresql+psycopg://safr@postgres/ledger --tracking-uri http://mlflow:5000
      --checkpoints s3://safr/checkpoints

      safr-study status s1 --ray http://127.0.0.1:8265 --watch

      safr-study stop s1 --ray http://127.0.0.1:8265
    """
    from safr_study.cluster.job_server import connect
    from safr_study.features.search.build_spec import study_spec
    from safr_study.features.submit import submit as run

    arguments = list(context.args)
    searched = _search_options(arguments)
    for name in _HERE_ALONE:
        if searched.get(name):
            flag = f"--{name.replace('_', '-')}"
            raise BadInput(flag[2:], f"is no option of submit; give {flag} to safr-study search")
    spec = study_spec(searched)
    space_file = _space_file(str(searched["space"]))
    server = connect(ray)
    job = run(
        server,
        _for_cluster(arguments, spec.name, spec.corpus.dataset, space_file),
        study=spec.name,
        command=sys.argv[1:],
        code=code,
        space_file=space_file,
        variables=env or (),
    )
    output.hint(f"Job {job.id} of study {job.study} is submitted.")
    if follow:
        _follow(server, job, as_json=json)
    if json:
        output.print_json(job)
    else:
        output.say(f"Follow it: {_watch_command(server, job)}")
        output.say(f"End it: {_stop_command(server, job)}")


def _search_options(arguments: Sequence[str]) -> Mapping[str, Any]:
    """What ``search`` makes of its options; its own errors for a wrong one."""
    alone = typer.Typer()
    alone.command("search")(search)
    context = typer.main.get_command(alone).make_context("submit", list(arguments))
    return context.params


def _space_file(space: str) -> Path | None:
    from safr_study.settings.space_files import built_in_spaces

    return None if space in built_in_spaces() else Path(space).expanduser()


def _for_cluster(
    arguments: Sequence[str], study: str, dataset: str, space_file: Path | None
) -> list[str]:
    from safr_study.features.submit import without_option

    # An absolute path where a file is meant, and the name of the study in any case.
    told = {"--study": study, "--dataset": dataset}
    if space_file is not None:
        told["--space"] = space_file.stem
    kept = list(arguments)
    for name in told:
        kept = without_option(kept, name)
    return [*(word for pair in told.items() for word in pair), *kept]


def show_jobs(address: str, study: str | None, *, watch: bool, as_json: bool) -> None:
    """The jobs of a study, or all, on a cluster; or the log of a study's last one."""
    if watch and study is None:
        raise BadInput("watch", "needs the name of one study")
    server, jobs = _jobs(address, study)
    if watch:
        _follow(server, jobs[0], as_json=as_json)
    elif as_json:
        output.print_json({"jobs": jobs})
    elif jobs:
        output.show(_jobs_table(jobs))
    else:
        output.say("No job yet; begin one: safr-study submit")


def stop_jobs(address: str, study: str, *, timeout: float, as_json: bool) -> None:
    """End the running job of a study, and wait until it has ended."""
    from safr_study.cluster.job import stop_job, wait

    server, jobs = _jobs(address, study)
    running = [job for job in jobs if not job.ended_yet]
    if not running:
        raise BadInput("study", f"no job of {study!r} is running: there is nothing to stop")
    for job in running:
        stop_job(server, job)
        output.hint(f"asked job {job.id} to end; waiting")
    ended = [wait(server, job, timeout=timeout) for job in running]
    if as_json:
        output.print_json({"jobs": ended})
        return
    output.say(*(f"Job {job.id} of study {study}: {job.state}." for job in ended))
    output.say("The command that submitted it goes on with the study.")


def _jobs(address: str, study: str | None) -> tuple[JobServer, list[Job]]:
    """A cluster, and the jobs of a study there, or all."""
    from safr_study.cluster.job import jobs_of
    from safr_study.cluster.job_server import connect

    server = connect(address)
    jobs = jobs_of(server, study)
    if study is not None and not jobs:
        raise BadInput(
            "study", f"{study!r} has no job at {server.address}; see safr-study status --ray"
        )
    return server, jobs


def _follow(server: JobServer, job: Job, *, as_json: bool) -> None:
    """Show a job's log until it ends, and exit with its code."""
    from safr_study.cluster.job import follow

    stream = sys.stderr if as_json else sys.stdout

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    try:
        ended = follow(server, job, write)
    except KeyboardInterrupt:
        raise StudyInterrupted(
            f"job {job.id} goes on without this terminal; {_watch_command(server, job)} shows it "
            f"again, {_stop_command(server, job)} ends it"
        ) from None
    if as_json:
        output.print_json(ended)
    if ended.state == "failed" and ended.exit_code == ServiceUnreachable.exit_code:
        raise ServiceUnreachable(
            f"job {ended.id} failed ({ended.message}); the same command goes on with the study"
        )
    raise typer.Exit(ended.exit_code or 0)


def _watch_command(server: JobServer, job: Job) -> str:
    """The command that shows its log."""
    return f"safr-study status {job.study} --ray {server.address} --watch"


def _stop_command(server: JobServer, job: Job) -> str:
    """The command that ends it."""
    return f"safr-study stop {job.study} --ray {server.address}"


def _jobs_table(jobs: Sequence[Job]) -> TextTable:
    rows = [
        (
            job.id,
            job.study,
            job.user,
            job.state,
            "" if job.began is None else f"{datetime.fromtimestamp(job.began):%F %T}",
            "" if job.began is None or job.ended is None else duration(job.ended - job.began),
            "" if job.exit_code is None else str(job.exit_code),
        )
        for job in jobs
    ]
    return TextTable("", ("job", "study", "by", "now", "submitted", ">took", ">exit code"), rows)
