"""``safr-study`` commands from one process that has imported everything already, a fork for each.

A command in an interpreter of its own spends two to three seconds on imports. A forked one differs
in nothing else that a user could see: it has the environment, the folder and the arguments that it
is given, its output goes to files, its exit code comes back. The README's commands and whatever is
killed have real processes of their own.

What reads its settings from the environment while it is imported (``datasets``, the hub's client)
is left out, and imported by each command that needs it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

IMPORTED = (
    "safr_study.cli.app",
    "matplotlib.pyplot",
    "optuna",
    "pandas",
    "ray.tune",
    "safr_study.evaluation",
    "safr_study.tracking",
    "scipy.stats",
)
LEFT_OUT = ("datasets", "huggingface_hub")


def forked(
    arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float
) -> tuple[int, str, str]:
    """Run a command to its end.

    Args:
        arguments: of ``safr-study``.
        env: the whole environment.
        cwd: folder that it runs in.
        timeout: seconds until it is killed.

    Returns:
        Exit code, standard output, standard error.

    Raises:
        TimeoutExpired: it did not end in time.
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        request = {
            "arguments": list(arguments),
            "env": dict(env),
            "cwd": str(cwd),
            "out": str(out),
            "err": str(err),
            "timeout": timeout,
        }
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = json.loads(server.stdout.readline())
        said = [path.read_text("utf-8", errors="replace") for path in (out, err)]
    if code is None:
        raise subprocess.TimeoutExpired(["safr-study", *arguments], timeout, *said)
    return int(code), said[0], said[1]


@cache
def _server() -> subprocess.Popen[str]:
    """The one server of this process; it ends with it."""
    # What this process's own imports set is no user's: the server's imports set it again.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    server = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env,
    )
    # Its input ends, and so does it.
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    # Those of the tests, which import MLflow themselves, are none of a command.
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    before = dict(os.environ)
    for name in IMPORTED:
        __import__(name)
    assert not set(LEFT_OUT) & sys.modules.keys()
    # What the imports set for their process, a command's own imports would set for it too.
    added = {name: value for name, value in os.environ.items() if name not in before}
    # Waited for with a time limit, and no handler has anything to do.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request, {**added, **request["env"]})
        print(json.dumps(_ended(child, request["timeout"])), file=answers, flush=True)


def _ended(child: int, timeout: float) -> int | None:
    """Exit code of a child, negative after a signal; ``None`` if it had to be killed."""
    # Another child's signal may be taken for this one's: only what waitpid says counts.
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if signal.sigtimedwait({signal.SIGCHLD}, timeout) is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None


def _become(request: dict[str, object], env: dict[str, str]) -> None:
    """Be the command, in this forked process, and never return."""
    code = 1
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(str(request["cwd"]))
        for number, name in ((0, os.devnull), (1, str(request["out"])), (2, str(request["err"]))):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
            opened = os.open(name, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        arguments = request["arguments"]
        assert isinstance(arguments, list)
        from safr_study import __file__ as package
        from safr_study.cli.app import main

        # As ``python -m safr_study`` has it: the commands under "Next" repeat it.
        sys.argv = [str(Path(package).with_name("__main__.py")), *arguments]

        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    finally:
        _end(code)


def _end(code: int) -> None:
    """End like an interpreter: threads are waited for, exit handlers run, output is written."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
