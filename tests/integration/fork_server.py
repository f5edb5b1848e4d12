"""``safr-study`` commands from one process that has imported everything already, a fork for each.

A command in an interpreter of its own spends two to three seconds on imports. A forked one differs
in nothing else that a user could see: it has the environment, the folder, the arguments and the
open files that it is given, and its exit code comes back. What serves, or is killed, has a real
process of its own.

What reads its settings from the environment while it is imported (``datasets``, the hub's client)
is left out, and imported by each command that needs it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from shared_ray import connect, settings, uses_ray

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
PROGRAM = Path(__file__).parents[2] / "safr_study" / "__main__.py"
LEFT_OUT = ("datasets", "huggingface_hub")


def forked(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
    ray: str | None = None,
) -> tuple[int, str, str]:
    """Run a command to its end.

    Args:
        arguments: of ``safr-study``.
        env: the whole environment.
        cwd: folder that it runs in.
        timeout: seconds until it is killed.
        ray: address of a Ray that a command which trains is connected to before it begins.

    Returns:
        Exit code, standard output, standard error.

    Raises:
        TimeoutExpired: it did not end in time.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with Path(os.devnull).open("rb") as nothing:
            files = [stream.fileno() for stream in (nothing, out, err)]
            # As ``python -m safr_study`` has it: the commands under "Next" repeat it.
            code = ask(_server(), ray, [str(PROGRAM), *arguments], env, cwd, timeout, files)
        said = [_all_of(out), _all_of(err)]
    if code is None:
        raise subprocess.TimeoutExpired(["safr-study", *arguments], timeout, *said)
    return code, said[0], said[1]


def write_program(path: Path, timeout: float, ray: str) -> None:
    """Write a program that a shell finds as ``safr-study``: the server runs its commands.

    Those that train are connected to the Ray at an address.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from fork_server import ask\n"
        f"places = ({_server()!r}, {ray!r})\n"
        f"code = ask(*places, sys.argv, os.environ, os.getcwd(), {timeout}, [0, 1, 2])\n"
        f"sys.exit('killed after {timeout} s' if code is None else code)\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


def ask(
    address: str,
    ray: str | None,
    arguments: Sequence[str],
    env: Mapping[str, str],
    cwd: str | Path,
    timeout: float,
    files: Sequence[int],
) -> int | None:
    """Have a command run by the server at an address.

    Args:
        address: path of the server's socket.
        ray: address of a Ray for a command that trains; ``None``: it starts one, or finds one.
        arguments: as in ``sys.argv``.
        env: the whole environment.
        cwd: folder that it runs in.
        timeout: seconds until it is killed.
        files: numbers of the open files that are its input, output and errors.

    Returns:
        Its exit code, ``None`` if it was killed.
    """
    request = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd), "timeout": timeout}
    request["ray"] = ray
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        socket.send_fds(server, [b"-"], files)
        server.sendall(json.dumps(request).encode())
        server.shutdown(socket.SHUT_WR)
        code: int | None = json.loads(server.makefile("rb").read())
    return code


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace")


@cache
def _server() -> str:
    """Address of the one server of this process; it ends with it."""
    folder = tempfile.mkdtemp(prefix="safr-fork-")
    address = f"{folder}/socket"
    # What this process's own imports set is no user's: the server's imports set it again.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    env |= settings()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            stdin=subprocess.PIPE,
            env=env,
            pass_fds=[listener.fileno()],
        )
    atexit.register(shutil.rmtree, folder)
    # Its input ends, and so does it.
    atexit.register(server.communicate)
    return address


def _serve() -> None:
    # Those of the tests, which import MLflow themselves, are none of a command.
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    ray_settings = {name: os.environ[name] for name in settings()}
    before = dict(os.environ)
    for name in IMPORTED:
        __import__(name)
    assert not set(LEFT_OUT) & sys.modules.keys()
    # What the imports set for their process, a command's own imports would set for it too.
    added = {name: value for name, value in os.environ.items() if name not in before}
    # Waited for with a time limit, and no handler has anything to do.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    listener = socket.socket(fileno=int(sys.argv[1]))
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        asking, _ = listener.accept()
        with asking:
            _, files, _, _ = socket.recv_fds(asking, 1, 3)
            request = json.loads(asking.makefile("rb").read())
            child = os.fork()
            if child == 0:
                asking.close()
                listener.close()
                _become(request, {**added, **request["env"]}, files, ray_settings)
            for file in files:
                os.close(file)
            code = _ended(child, request["timeout"])
            # Who asked may have been ended.
            with contextlib.suppress(BrokenPipeError):
                asking.sendall(json.dumps(code).encode())


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


def _become(
    request: dict[str, object],
    env: dict[str, str],
    files: Sequence[int],
    ray_settings: Mapping[str, str],
) -> None:
    """Be the command, in this forked process, and never return."""
    code = 1
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(str(request["cwd"]))
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        arguments = request["arguments"]
        assert isinstance(arguments, list)
        from safr_study.cli.app import main

        sys.argv = arguments
        if request["ray"] is not None and uses_ray(arguments[1:]):
            # Of this server and the cluster alike; a command's own environment has none of them.
            os.environ.update(ray_settings)
            connect(str(request["ray"]))

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
