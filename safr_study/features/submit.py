"""Submit: run a study as a job of a remote Ray cluster."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from safr_study.cluster.job import (
    COMMAND_VARIABLE,
    STUDY_KEY,
    USER_KEY,
    Code,
    Job,
    find_job,
    jobs_of,
    shipped_code,
)
from safr_study.cluster.job_server import JobServer
from safr_study.errors import BadInput
from safr_study.redaction import has_secret, redacted_command

STOP_SECONDS = 60
"""What a job has to end cleanly, before it is killed."""
_PROGRAM = ("python", "-P", "-m", "safr_study")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.IGNORECASE)
"""Wider than what is hidden: a variable that is refused by mistake can be given to the nodes."""
_SECRETS_HINT = (
    "which the cluster's dashboard would show; give it to the cluster's nodes instead, in their "
    "environment or a file that only they read (SAFR_STUDY_STORAGE, PGPASSFILE, "
    "MLFLOW_TRACKING_TOKEN, AWS_SHARED_CREDENTIALS_FILE)"
)


def submit(
    server: JobServer,
    arguments: Sequence[str],
    *,
    study: str,
    command: Sequence[str],
    code: Code = "ship",
    space_file: Path | None = None,
    variables: Sequence[str] = (),
) -> Job:
    """Begin a study on a cluster.

    Args:
        server: of the cluster.
        arguments: of ``safr-study search`` there.
        study: its name.
        command: the arguments of ``safr-study`` that asked for it, from ``submit`` on.
        code: where the cluster has safr-study from.
        space_file: a search space that the cluster does not have.
        variables: names from this environment that the job gets; the dashboard shows them.

    Raises:
        BadInput: a secret would be shown, or a job of this study runs already.
        ServiceUnreachable: the cluster does not take it.
    """
    if any(map(has_secret, arguments)):
        raise BadInput("command line", f"an address has a password or token in it, {_SECRETS_HINT}")
    environment = {
        **_passed(variables),
        COMMAND_VARIABLE: json.dumps(redacted_command(command)),
        # Ray's own signal is SIGTERM, and SIGKILL comes 3 s after it.
        "RAY_JOB_STOP_SIGNAL": "SIGINT",
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    }
    running = [job for job in jobs_of(server, study) if not job.ended_yet]
    if running:
        raise BadInput(
            "study",
            f"{study!r} is being run by job {running[0].id}; follow it with safr-study status "
            f"{study} --ray {server.address} --watch, or end it with safr-study stop",
        )
    words = [*_PROGRAM, "search", *arguments, "--address", "auto"]
    with shipped_code(code, space_file) as packages, server.answering():
        submitted = server.client.submit_job(
            # exec: the signal is for Python, not for a shell around it. Not in the folder where Ray
            # was started, and -P: sources there would come before the code that was sent.
            entrypoint=f'cd "${{HOME:-/}}" && exec {shlex.join(words)}',
            submission_id=f"{study}-{uuid.uuid4().hex[:8]}",
            runtime_env={
                "env_vars": environment,
                **({"py_modules": packages} if packages else {}),
            },
            metadata={STUDY_KEY: study, USER_KEY: _user()},
        )
    return find_job(server, submitted)


def _user() -> str:
    """The name of this user on this machine, for those who share the cluster; empty without one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def without_option(arguments: Sequence[str], option: str) -> list[str]:
    """Arguments without an option that takes a value, however often it is given."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument == option:
            skip = True
        elif not argument.startswith(f"{option}="):
            kept.append(argument)
    return kept


def _passed(names: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for name in names:
        if name not in os.environ:
            raise BadInput("env", f"{name} is not set here; export it, or leave --env out")
        if _SECRET_NAME.search(name) or has_secret(os.environ[name]):
            raise BadInput("env", f"{name} looks like a secret, {_SECRETS_HINT}")
        found[name] = os.environ[name]
    return found
