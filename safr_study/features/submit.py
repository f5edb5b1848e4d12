"""Submit: run a study as a job of a remote Ray cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safr_study.cluster.job import Code, Job, shipped_code, submit_job
from safr_study.cluster.job_server import JobServer
from safr_study.errors import BadInput
from safr_study.redaction import has_secret, redacted_command

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.IGNORECASE)
"""Wider than what is hidden: a variable that is refused by mistake can be given to the nodes."""
_SECRETS_HINT = (
    "which the cluster's dashboard would show; give it to the cluster's nodes instead, in their "
    "environment or a file that only they read (SAFR_STUDY_STORAGE, PGPASSFILE, "
    "MLFLOW_TRACKING_TOKEN, AWS_SHARED_CREDENTIALS_FILE)"
)


@dataclass(frozen=True, slots=True)
class Submission:
    """A study for a cluster."""

    study: str
    """Its name."""
    arguments: tuple[str, ...]
    """Arguments of ``safr-study search`` on the cluster."""
    command: tuple[str, ...]
    """The arguments of ``safr-study`` that asked for it, from ``submit`` on."""
    code: Code = "ship"
    space_file: Path | None = None
    """A search space that the cluster does not have."""
    variables: tuple[str, ...] = ()
    """Names from this environment that the job gets."""


def submit(server: JobServer, submission: Submission) -> Job:
    """Begin a study on a cluster.

    Raises:
        BadInput: a secret would be shown, or a job of this study runs already.
        ServiceUnreachable: the cluster does not take it.
    """
    for argument in submission.arguments:
        if has_secret(argument):
            raise BadInput(
                "command line", f"an address has a password or token in it, {_SECRETS_HINT}"
            )
    variables = _passed(submission.variables)
    with shipped_code(submission.code, submission.space_file) as packages:
        return submit_job(
            server,
            ["search", *submission.arguments, "--address", "auto"],
            study=submission.study,
            packages=packages,
            variables=variables,
            command=redacted_command(submission.command),
        )


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
