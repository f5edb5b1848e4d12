"""One Ray on this machine for the studies of a process of tests; run as ``python shared_ray.py``.

A local Ray of a study's own costs more CPU time than a small study's training: five processes, and
a worker for each core. A process that is connected to this one has no other started.
"""

from __future__ import annotations

import atexit
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

QUIETLY = {"log_to_driver": False, "logging_level": "ERROR"}
STUDIES = ("search", "confirm", "reproduce")
"""Commands that train."""
WORKER = Path(__file__).with_name("forked_worker.py")
"""What the cluster starts as a worker."""
SERVER = "SAFR_TEST_FORK_SERVER"
"""Environment variable with the address of the server that forks the workers."""


@cache
def settings() -> dict[str, str]:
    """Environment of the cluster and of whatever connects to it, there when Ray is imported."""
    # The processes of tests of one run know one token, as their commands share a server.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(32)
    return {
        # Every listener on loopback.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": sha256(run.encode()).hexdigest(),
    }


@cache
def shared_address(server: str) -> str:
    """HOST:PORT of the one cluster of this process, with room for one trial; it ends with it.

    Args:
        server: address of the server of whose forks its workers are.
    """
    folder = Path(tempfile.mkdtemp(prefix="safr-ray-"))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SAFR_STUDY_", "MLFLOW_", "RAY_", "TUNE_", "HF_"))
    }
    process = subprocess.Popen(
        [sys.executable, __file__, server],
        # Ray's workers are nice (15): next to other tests they would get nothing.
        env={**kept, **settings(), "RAY_worker_niceness": "0"},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, "Ray did not start"
    # Its input ends, and so does it.
    atexit.register(process.communicate)
    return address


def uses_ray(arguments: Sequence[str]) -> bool:
    """Whether a command of ``safr-study`` starts a Ray, if it is connected to none."""
    alone = {"--dry-run", "--help"}
    return bool(arguments) and arguments[0] in STUDIES and not alone.intersection(arguments)


def connect(address: str) -> None:
    """Connect this process to the cluster."""
    import ray

    ray.init(address=address, **QUIETLY)


def _hold(server: str) -> None:
    from safr_study.cluster import ray_cluster

    os.environ.update(ray_cluster._QUIET)
    import ray
    from ray._private.node import Node

    prepare = Node.__init__

    def with_less(node: Node, ray_params: Any, **more: Any) -> None:
        """A node without what studies do not use: an autoscaler, and a reader of workers' logs."""
        ray_params.no_monitor, ray_params.include_log_monitor = True, False
        ray_params.setup_worker_path = str(WORKER)
        prepare(node, ray_params=ray_params, **more)

    Node.__init__ = with_less
    Node.start_api_server = lambda *_, **__: None
    # The first waits until the server has imported everything.
    os.environ |= {SERVER: server, "RAY_worker_register_timeout_seconds": "280"}
    ray.init(address="local", num_cpus=1, include_dashboard=False, **QUIETLY)
    sys.stdout.write(f"{ray.get_runtime_context().gcs_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _hold(sys.argv[1])
