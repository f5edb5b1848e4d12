"""A command of the user's that is run when a study has ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safr_study.errors import BadInput, SafrError, StudyIncomplete, StudyInterrupted
from safr_study.features.study_base.results import load_result
from safr_study.features.study_base.stores import Stores
from safr_study.render.result_tables import result_json

State = Literal["complete", "incomplete", "interrupted", "failed"]
_PROGRAM = re.compile(r"\s*(?:\w+=[\w./:+-]*\s+)*([\w./+-]+)(?:\s|\Z)")
"""A line that begins with a plain word, which must be there; all else is left to the shell."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A command for the shell, with the folder and the environment in which the user gave it.

    What runs a study puts variables of its own into its environment later: none is for a hook.
    """

    command: str
    folder: Path
    environment: Mapping[str, str]


def parse_hook(command: str) -> Hook:
    """A hook that ``sh`` can read and whose program exists, to be refused before a long study.

    Raises:
        BadInput: it is empty, badly quoted, or begins with no program.
    """
    if not command.strip():
        raise BadInput("on-finish", "is empty; give a program and its arguments")
    read = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
    if read.returncode:
        said = read.stderr.strip().rpartition(": ")[2]
        raise BadInput("on-finish", f"{command!r} is badly quoted ({said})")
    program = _PROGRAM.match(command)
    if program is not None and not _can_run(program[1]):
        raise BadInput(
            "on-finish",
            f"{program[1]!r} is no program that can be run; give one on the PATH, or its path",
        )
    return Hook(command, Path.cwd(), dict(os.environ))


def ended_as(error: BaseException | None) -> State:
    """The state of a study that ended with this error; ``None``: without one."""
    if error is None:
        return "complete"
    if isinstance(error, StudyIncomplete):
        return "incomplete"
    return "interrupted" if isinstance(error, (StudyInterrupted, KeyboardInterrupt)) else "failed"


def run_hook(
    hook: Hook, name: str, stores: Stores, state: State, *, time_limit: float = 60.0
) -> str | None:
    """Run a hook after a study; what it prints is not shown.

    It finds SAFR_STUDY_NAME, SAFR_STUDY_STATE, SAFR_STUDY_HYPERVOLUME (empty where no result can
    be read) and SAFR_STUDY_HOME in its environment, and the result as JSON on its standard input
    (as ``pareto --json``; ``null`` where there is none).

    Args:
        hook: of ``parse_hook``.
        name: of the study.
        stores: of the study.
        state: how it ended.
        time_limit: seconds until it is killed, with all that it started.

    Returns:
        A warning if it failed; it changes nothing of the study.
    """
    document = None
    # The ledger may be what ended the study.
    with contextlib.suppress(SafrError, OSError):
        document = result_json(load_result(name, stores))
    told = {
        "SAFR_STUDY_NAME": name,
        "SAFR_STUDY_STATE": state,
        "SAFR_STUDY_HYPERVOLUME": "" if document is None else repr(document["hypervolume"]),
        "SAFR_STUDY_HOME": str(stores.home.root),
    }
    # A file, not a pipe: whatever a hook leaves running may keep it without holding us up.
    with tempfile.TemporaryFile() as said:
        try:
            # A session of its own: Ctrl-C for us is none for it, and all that it started ends
            # with it.
            process = subprocess.Popen(
                hook.command,
                shell=True,
                cwd=hook.folder,
                env={**hook.environment, **told},
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return _warning(hook, f"could not be run ({error.strerror or error})")
        try:
            process.communicate(json.dumps(document, ensure_ascii=False).encode(), time_limit)
        except subprocess.TimeoutExpired:
            return _warning(hook, f"was killed after {time_limit:g} s")
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said.seek(0)
        last = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2].strip()[:200]
    problem = f"ended with {process.returncode}" + (f" ({last})" if last else "")
    return _warning(hook, problem) if process.returncode else None


def _can_run(word: str) -> bool:
    # The shell's own words, as ``cd``, are no files.
    asked = ["sh", "-c", 'command -v "$1"', "sh", word]
    return shutil.which(word) is not None or (
        "/" not in word and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    )


def _warning(hook: Hook, problem: str) -> str:
    return f"on-finish: {hook.command!r} {problem}; the study is not affected"
