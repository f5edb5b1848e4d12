"""Ray: started here or joined, quietly; and what one trial takes of it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safr_study.cluster.slots import NodeCapacity
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.text import first_line

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 4.0
_UNBOUNDED = 100
"""Nodes that an autoscaler without a limit is taken to start."""
_SETTINGS = 4
"""Type of a frame of HTTP/2, its fourth byte."""
_EMPTY_SETTINGS = bytes([0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0])
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_PREFIX = "safr-ray-"
_SHORT = "/tmp"
_REMOVALS, _REMOVAL_SECONDS = 20, 0.1
_PLACE_BYTES = 107 - len(f"/{_PREFIX}12345678/session_2026-01-01_00-00-00_000000_1234567")
_PLACE_BYTES -= len("/sockets/plasma_store")
"""Bytes of a folder in which Ray's sockets still have a path that Linux takes."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Several objectives live in the searcher; Tune itself is given no metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C is ours: it stops through a Stopper, so that every trial ends as unfinished.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # The state of the Tuner, all trials each time: it is never read back, the ledger has it all.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    # The trace of a worker that died: the ledger has the sentence.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray listens on every interface otherwise; a test lists the listeners. Ray reads it when it is
imported. Never for a cluster at an address: nodes could not reach each other."""


@contextlib.contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """A Ray cluster for the time of the block: a local one, or the one at ``address``.

    Where this process is connected to one already, that one is used and left running.

    Raises:
        BadInput: the address is none.
        ServiceUnreachable: the cluster at ``address`` does not answer.
    """
    os.environ.update(_QUIET)
    if address is None:
        os.environ.update(_LOOPBACK_ONLY)
        os.environ.pop("RAY_ADDRESS", None)
    import ray

    if ray.is_initialized():
        yield
        return
    if address is not None:
        _probe(address)
    with _errors_go_to_the_log(), contextlib.ExitStack() as held:
        alone: dict[str, Any] = {}
        if address is None:
            folder = held.enter_context(session_folder())
            alone = {"include_dashboard": False, "_temp_dir": folder}
        try:
            with _away_from_the_users_folder():
                ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **alone)
        except Exception as error:
            # A node that is not up in time is a bare Exception of Ray's.
            raise _not_started(address, error) from None
        if address is None:
            _hide_token()
        try:
            yield
        finally:
            ray.shutdown()


def _hide_token() -> None:
    """Take from other users the token that Ray makes of its own, which it leaves open to read."""
    token = Path("~/.ray/auth_token").expanduser()
    with contextlib.suppress(OSError):
        if token.stat().st_uid == os.getuid() and token.stat().st_mode & 0o077:
            token.chmod(0o600)


def _not_started(address: str | None, error: Exception) -> ServiceUnreachable:
    if address is None:
        return ServiceUnreachable(
            f"ray: it did not start on this machine ({first_line(error)}); see safr-study doctor, "
            "and try again when the machine is less busy"
        )
    return ServiceUnreachable(
        f"address: Ray at {address} did not answer ({first_line(error)}); check that the cluster "
        "runs (ray status) and that the address is right"
    )


@contextlib.contextmanager
def session_folder() -> Iterator[str]:
    """A folder for what a local cluster writes, readable by its user alone; removed at the end.

    Below Ray's own ``RAY_TMPDIR``, where it is kept for whoever wants to look, the folder of
    temporary files, or else ``/tmp``: a socket's path has room for some 40 bytes of it.

    Raises:
        BadInput: all of them are too long, or cannot be written; or Python has left out what Ray
            needs of itself.
    """
    if sys.flags.optimize > 1:
        raise BadInput("PYTHONOPTIMIZE", "Ray does not run without docstrings; unset it")
    folder = _new_folder()
    asked = os.environ.get("RAY_TMPDIR")
    kept = asked is not None and Path(folder).parent == Path(asked).absolute()
    try:
        yield folder
    finally:
        # What Ray ends may still write.
        for _ in range(0 if kept else _REMOVALS):
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                break
            time.sleep(_REMOVAL_SECONDS)


def _new_folder() -> str:
    given = (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), _SHORT)
    for place in (Path(one).absolute() for one in given if one):
        if len(os.fsencode(place)) <= _PLACE_BYTES:
            with contextlib.suppress(OSError):
                return tempfile.mkdtemp("", _PREFIX, place)
    raise BadInput(
        "TMPDIR",
        f"{tempfile.gettempdir()} is too long for Ray's sockets or cannot be written, nor can "
        f"{_SHORT}; set RAY_TMPDIR to a writable folder of at most {_PLACE_BYTES} bytes",
    )


@contextlib.contextmanager
def _away_from_the_users_folder() -> Iterator[None]:
    """Stand in Python's own folder for the time of the block, with a safe path for what it starts.

    Ray lets its workers import from the folder in which it was initialised, before any library: a
    file ``pandas.py`` where the user stands would be run.
    """
    before, safe = os.open(".", os.O_RDONLY), os.environ.get("PYTHONSAFEPATH")
    os.chdir(sys.prefix)
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)
        if safe is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = safe


@contextlib.contextmanager
def _errors_go_to_the_log() -> Iterator[None]:
    """Ray's daemons report their errors, traces of theirs too, on our standard output otherwise.

    There the result is, and no option of ``ray.init`` keeps them away.
    https://github.com/ray-project/ray/blob/ray-2.50.0/python/ray/_private/worker.py
    (``listen_error_messages``)
    """
    from ray._private import worker

    def to_log(data: dict[str, Any], **_: bool) -> None:
        _log.info("Ray (%s): %s", data.get("pid"), "\n".join(data.get("lines", ())).strip())

    before = worker.print_to_stdstream
    worker.print_to_stdstream = to_log
    try:
        yield
    finally:
        worker.print_to_stdstream = before


def cluster_size(address: str) -> str:
    """What the cluster at an address has, in words, joined for a moment.

    Raises:
        ServiceUnreachable: it does not answer.
    """
    with cluster(address):
        import ray

        total = ray.cluster_resources()
        alive = sum(node["Alive"] for node in ray.nodes())
        return f"{alive} nodes, {total.get('CPU', 0.0):g} CPUs, {total.get('GPU', 0.0):g} GPUs"


def _probe(address: str) -> None:
    """Knock at HOST:PORT: Ray itself waits for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if address in ("auto", "local"):
        return
    if not host or not port.isdecimal():
        raise BadInput("address", f"{address!r} is none; give HOST:PORT, ray://HOST:PORT, or auto")
    try:
        with socket.create_connection((host, int(port)), timeout=_PROBE_SECONDS) as connection:
            answers = _speaks_grpc(connection)
    except (OSError, OverflowError) as error:
        raise ServiceUnreachable(
            f"address: nothing answers at {address} ({error}); check that the cluster runs "
            "(ray status) and that the address is right"
        ) from None
    if not answers:
        raise ServiceUnreachable(
            f"address: what answers at {address} is no Ray cluster; give the address that ray "
            "start --head printed (port 6379 unless you chose another, not the dashboard's 8265)"
        )


def _speaks_grpc(connection: socket.socket) -> bool:
    """Whether the other side begins as HTTP/2 does (RFC 9113, 3.4), on which gRPC rests.

    Ray itself asks anything that listens for minutes, and tells its log.
    """
    if os.environ.get("RAY_USE_TLS") == "1":
        return True
    connection.sendall(_HTTP2_PREFACE + _EMPTY_SETTINGS)
    try:
        with connection.makefile("rb") as answer:
            return answer.read(len(_EMPTY_SETTINGS))[3:4] == bytes([_SETTINGS])
    except OSError:
        return False


def cluster_nodes() -> list[NodeCapacity]:
    """What each node of the running cluster has, and each that its autoscaler may start."""
    import ray

    # Ray's Train and Data read the autoscaler's limits there too; there is no public way.
    scaled = ray._private.state.state.get_cluster_config()
    groups = [] if scaled is None else list(scaled.node_group_configs)
    startable = [
        NodeCapacity(float(group.resources.get("CPU", 0)), float(group.resources.get("GPU", 0)))
        for group in groups
        for _ in range(_UNBOUNDED if group.max_count < 0 else group.max_count)
    ]
    alive = [
        NodeCapacity(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]
    return startable if len(startable) > len(alive) else alive
