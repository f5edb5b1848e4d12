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
from pathlib import Path

QUIETLY = {"log_to_driver": False, "logging_level": "ERROR"}
STUDIES = ("search", "confirm", "reproduce")
"""Commands that train."""


@cache
def settings() -> dict[str, str]:
    """Environment of the cluster and of whatever connects to it, there when Ray is imported."""
    return {
        # Every listener on loopback.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


@cache
def shared_address() -> str:
    """HOST:PORT of the one cluster of this process, with room for one trial; it ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="safr-ray-"))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SAFR_STUDY_", "MLFLOW_", "RAY_", "TUNE_", "HF_"))
    }
    process = subprocess.Popen(
        [sys.executable, __file__],
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


def _hold() -> None:
    from safr_study.cluster import ray_cluster

    os.environ.update(ray_cluster._QUIET)
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, **QUIETLY)
    sys.stdout.write(f"{ray.get_runtime_context().gcs_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _hold()
