"""A command of the user's that is run when a study has ended."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal

from safr_study.errors import BadInput, SafrError, StudyIncomplete, StudyInterrupted
from safr_study.features.study_base.results import load_result
from safr_study.features.study_base.stores import Stores
from safr_study.render.result_tables import result_json

State = Literal["complete", "incomplete", "interrupted", "failed"]
TIME_LIMIT = 60.0
"""Seconds that a hook may take."""
_SAID = 200
"""Characters of its last line in a warning."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A command, found and ready to be run."""

    arguments: tuple[str, ...]
    """The program's absolute path, then its arguments."""
    text: str
    """As the user wrote it."""
    environment: Mapping[str, str]
    """Of the user's shell, before anything that runs a study put something of its own into it."""


def parse_hook(command: str) -> Hook:
    """A hook from a command line, which no shell reads: pipes and variables are plain words.

    Raises:
        BadInput: it is empty, badly quoted, or there is no such program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadInput("on-finish", f"{command!r} is badly quoted ({error})") from None
    if not words:
        raise BadInput("on-finish", "is empty; give a program and its arguments")
    program = shutil.which(words[0])
    if program is None:
        raise BadInput(
            "on-finish",
            f"{words[0]!r} is no program that can be run; give one on the PATH, or its path",
        )
    return Hook((os.path.abspath(program), *words[1:]), command, dict(os.environ))  # noqa: PTH100


def ended_as(error: BaseException | None) -> State:
    """How a study ended that raised this, or nothing."""
    if error is None:
        return "complete"
    if isinstance(error, StudyIncomplete):
        return "incomplete"
    return "interrupted" if isinstance(error, (StudyInterrupted, KeyboardInterrupt)) else "failed"


def run_hook(
    hook: Hook,
    name: str,
    stores: Stores,
    state: State,
    *,
    time_limit: float = TIME_LIMIT,
) -> str | None:
    """Run a hook after a study; what it prints is not shown.

    It finds SAFR_STUDY_NAME, SAFR_STUDY_STATE, SAFR_STUDY_HYPERVOLUME (empty where no result can
    be read) and SAFR_STUDY_HOME in its environment, and the result as JSON on its standard input
    (as ``pareto --json``; ``null`` where there is none).

    Args:
        hook: of ``parse_hook``.
        name: of the study.
        stores: where it is.
        state: how it ended.
        time_limit: seconds until it is killed, with all that it started.

    Returns:
        A warning if it failed; it changes nothing of the study.
    """
    document: dict[str, Any] | None = None
    # The ledger may be what ended the study.
    with contextlib.suppress(SafrError, OSError):
        document = result_json(load_result(name, stores))
    environment = {
        **hook.environment,
        "SAFR_STUDY_NAME": name,
        "SAFR_STUDY_STATE": state,
        "SAFR_STUDY_HYPERVOLUME": "" if document is None else repr(document["hypervolume"]),
        "SAFR_STUDY_HOME": str(stores.home.root),
    }
    # Files, not pipes: whatever a hook leaves running may keep them without holding us up.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(json.dumps(document, ensure_ascii=False).encode())
        given.seek(0)
        try:
            code = _run(hook, environment, given, said, time_limit)
        except OSError as error:
            return _warning(hook, f"could not be run ({error.strerror or error})")
        except subprocess.TimeoutExpired:
            return _warning(hook, f"was killed after {time_limit:g} s")
        return _warning(hook, f"ended with {code}{_last_line(said)}") if code else None


def _run(
    hook: Hook,
    environment: Mapping[str, str],
    given: IO[bytes],
    said: IO[bytes],
    time_limit: float,
) -> int:
    # A session of its own: Ctrl-C for us is none for it, and all that it started ends with it.
    process = subprocess.Popen(
        hook.arguments,
        env=environment,
        stdin=given,
        stdout=said,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(time_limit)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _warning(hook: Hook, problem: str) -> str:
    return f"on-finish: {hook.text!r} {problem}; the study is not affected"


def _last_line(said: IO[bytes]) -> str:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 4 * _SAID))
    lines = said.read().decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[:_SAID]})" if last else ""
