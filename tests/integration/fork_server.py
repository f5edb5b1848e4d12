"""``safr-study`` commands from one process that has imported everything already, a fork for each.

A command in an interpreter of its own spends two to eight seconds on imports, and one that makes a
tracking database two more on MLflow's migrations. A forked one differs in nothing else that a user
could see: it has the environment, the folder, the arguments and the open files that it is given,
and its exit code comes back. What serves, or is killed, has a real process of its own. The workers
of the shared Ray are forks too.

All processes of tests of one run share the server, which ends when the last of them has ended.

What reads its settings from the environment while it is imported (``datasets``, the hub's client)
is left out, and imported by each command that needs it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import pkgutil
import runpy
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from shared_ray import connect, settings, uses_ray

IMPORTED = (
    *("matplotlib.pyplot", "optuna", "pandas", "ray.tune", "scipy.stats", "torch"),
    *("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "mlflow.pyfunc"),
)
"""Imported beside all modules of the package."""
COMMAND, SCRIPT, WORKER = "command", "script", "worker"
"""What is run: ``safr-study``, a script of Python, a worker of Ray's."""
PROGRAM = Path(__file__).parents[2] / "safr_study" / "__main__.py"
LEFT_OUT = ("datasets", "huggingface_hub")


def forked(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
    ray: str | None = None,
    script: Path | None = None,
) -> tuple[int, str, str]:
    """Run a command to its end.

    Args:
        arguments: of ``safr-study``.
        env: the whole environment.
        cwd: folder that it runs in.
        timeout: seconds until it is killed.
        ray: address of a Ray that a command which trains is connected to before it begins.
        script: run instead of ``safr-study``.

    Returns:
        Exit code, standard output, standard error.

    Raises:
        TimeoutExpired: it did not end in time.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with Path(os.devnull).open("rb") as nothing:
            files = [stream.fileno() for stream in (nothing, out, err)]
            # As ``python -m safr_study`` has it: the commands under "Next" repeat it.
            words = [str(script or PROGRAM), *arguments]
            kind = COMMAND if script is None else SCRIPT
            code = ask(server(), ray, words, env, cwd, timeout, files, kind=kind)
        said = [_all_of(out), _all_of(err)]
    if code is None:
        raise subprocess.TimeoutExpired(["safr-study", *arguments], timeout, *said)
    return code, said[0], said[1]


def write_program(path: Path, timeout: float, ray: str) -> None:
    """Write a program that a shell finds as ``safr-study``: the server runs its commands.

    Those that train are connected to the Ray at an address. They get its Ctrl-C.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable} -IS\n"
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from fork_server import ask\n"
        f"places = ({server()!r}, {ray!r})\n"
        "def begun(pid):\n"
        "    signal.signal(signal.SIGINT, lambda number, _: os.kill(pid, number))\n"
        f"command = (sys.argv, os.environ, os.getcwd(), {timeout}, [0, 1, 2])\n"
        "code = ask(*places, *command, begun=begun)\n"
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
    *,
    kind: str = COMMAND,
    begun: Callable[[int], None] = lambda _: None,
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
        kind: what the arguments are of.
        begun: called with the id of its process.

    Returns:
        Its exit code, ``None`` if it was killed.
    """
    request = {"arguments": list(arguments), "env": dict(env), "cwd": str(cwd), "timeout": timeout}
    request |= {"ray": ray, "kind": kind}
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(address)
        socket.send_fds(asked, [b"-"], files)
        asked.sendall(json.dumps(request).encode())
        asked.shutdown(socket.SHUT_WR)
        answers = asked.makefile("rb")
        begun(json.loads(answers.readline()))
        code: int | None = json.loads(answers.readline())
    return code


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", errors="replace")


@cache
def server() -> str:
    """Address of the one server of this run of tests."""
    # Not there where `ask` is used.
    from filelock import FileLock

    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(16)
    folder = Path(tempfile.gettempdir()) / f"safr-fork-{run}"
    folder.mkdir(mode=0o700, exist_ok=True)
    address, held = folder / "socket", folder / "held"
    with FileLock(folder / "lock"):
        try:
            # Open until this process ends. Without a reader there is no server.
            os.open(held, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            for path in (address, held):
                path.unlink(missing_ok=True)
            os.mkfifo(held)
            reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
            os.open(held, os.O_WRONLY | os.O_NONBLOCK)
            _start(address, reader)
            os.close(reader)
    return str(address)


def _start(address: Path, held: int) -> None:
    # What this process's own imports set is no user's: the server's imports set it again.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    env |= settings()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(64)
        numbers = (listener.fileno(), held)
        subprocess.Popen(
            [sys.executable, __file__, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            env=env,
            cwd=address.parent,
            pass_fds=numbers,
            start_new_session=True,
        ).returncode = 0  # Not waited for: others may still need it.


def _serve(listener: socket.socket, held: int) -> None:
    ray_settings = {name: os.environ[name] for name in settings()}
    added = _prepare()
    # Who asks is answered by a child, whose end nobody waits for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listener in select.select([listener, held], [], [])[0]:
        asking, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(held)
            try:
                _answer(asking, added, ray_settings)
            finally:
                os._exit(0)
        asking.close()
    shutil.rmtree(Path.cwd(), ignore_errors=True)


def _prepare() -> dict[str, str]:
    """Do once what each command would do for itself; the environment that imports have added."""
    # Those of the tests, which import MLflow themselves, are none of a command.
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    before = dict(os.environ)
    # Ray reads them while it is imported. A worker ends when this process has, as the raylet is not
    # known yet, and learns of its job with its first task.
    unknown = {"RAY_RAYLET_PID": str(os.getpid()), "RAY_JOB_ID": "ffffffff"}
    os.environ |= unknown
    for name in IMPORTED:
        __import__(name)
    for name in unknown:
        del os.environ[name]
    import safr_study

    for module in pkgutil.walk_packages(safr_study.__path__, "safr_study."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
    # What the imports set for their process, a command's own imports would set for it too.
    added = {name: value for name, value in os.environ.items() if name not in before}
    from made_once import make_once

    from safr_study.home import open_home
    from safr_study.tracking.store import open_store

    make_once()
    open_store(open_home(Path.cwd() / "home"))
    assert not set(LEFT_OUT) & sys.modules.keys()
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    return added


def _answer(
    asking: socket.socket, added: Mapping[str, str], ray_settings: Mapping[str, str]
) -> None:
    # Waited for with a time limit, and no handler has anything to do.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    _, files, _, _ = socket.recv_fds(asking, 1, 3)
    request = json.loads(asking.makefile("rb").read())
    child = os.fork()
    if child == 0:
        asking.close()
        _become(request, {**added, **request["env"]}, files, ray_settings)
    for file in files:
        os.close(file)
    # Who asked may have been ended.
    with contextlib.suppress(BrokenPipeError):
        asking.sendall(f"{child}\n".encode())
    code = _ended(child, request["timeout"])
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
        if request["kind"] == WORKER:
            _work(arguments)
        from safr_study.cli.app import main

        sys.argv = arguments
        script = request["kind"] == SCRIPT
        if request["ray"] is not None and (script or uses_ray(arguments[1:])):
            # Of this server and the cluster alike; a command's own environment has none of them.
            os.environ.update(ray_settings)
            connect(str(request["ray"]))

        try:
            if script:
                runpy.run_path(arguments[0], run_name="__main__")
            else:
                main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except Exception:
        traceback.print_exc()
    finally:
        _end(code)


def _work(arguments: list[str]) -> None:
    """Be a worker of Ray's, as its ``setup_worker.py`` starts one."""
    from ray._private.runtime_env.context import RuntimeEnvContext
    from ray._private.utils import update_envs
    from ray._private.workers.setup_worker import parser

    given, sys.argv = parser.parse_known_args(arguments[1:])
    context = RuntimeEnvContext.deserialize(given.serialized_runtime_env_context or "{}")
    update_envs(context.env_vars)
    runpy.run_path(sys.argv[0], run_name="__main__")
    raise SystemExit


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
    sys.path.insert(0, str(Path(__file__).parents[1]))
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
