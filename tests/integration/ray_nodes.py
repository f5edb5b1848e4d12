"""A Ray cluster of several raylets on this machine; run as ``python ray_nodes.py``.

It has a process of its own, as Ray reads its settings once per process. Lines of JSON go both ways:
in, what is to be done; out, how the cluster stands after it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OBJECT_STORE_BYTES = 100 * 1024 * 1024
_KEPT = {
    # Every listener on loopback.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True)
class Nodes:
    """A running cluster."""

    process: subprocess.Popen[str]
    address: str
    """Of the head: HOST:PORT."""
    dashboard: str
    """URL of the Jobs API."""
    token: str
    head: str
    """Its id."""

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this cluster needs, and a driver on this machine."""
        return {**_KEPT, "RAY_AUTH_TOKEN": self.token}

    def do(self, **what: Any) -> dict[str, Any]:
        """``kill="node id"``, ``add={...}``; how it stands then."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return _answer(self.process)


@contextlib.contextmanager
def ray_nodes(
    nodes: Sequence[Mapping[str, Any]], environment: Mapping[str, str] | None = None
) -> Iterator[Nodes]:
    """A cluster for the time of the block; the first node is its head.

    Args:
        nodes: arguments of ``Cluster.add_node`` for each.
        environment: of all its processes, beside that of this one.
    """
    token = secrets.token_hex(32)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "SAFR_STUDY_", "MLFLOW_", "TUNE_"))
    }
    # A socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="nodes-", dir="/tmp"))
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), json.dumps([dict(node) for node in nodes])],
        env={**inherited, **_KEPT, "RAY_AUTH_TOKEN": token, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        stands = _answer(process)
        address, dashboard, known = (stands[key] for key in ("address", "dashboard", "nodes"))
        yield Nodes(process, address, dashboard, token, known[0])
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(60)
        finally:
            process.kill()
            assert process.stdout is not None
            process.stdout.close()
            shutil.rmtree(folder, ignore_errors=True)


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the cluster's process has ended"
    answer: dict[str, Any] = json.loads(line)
    return answer


def free_port() -> int:
    """A port of the loopback interface that nobody has just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def main(folder: str, nodes: list[dict[str, Any]]) -> None:
    # Ray's own processes inherit standard output, which is ours alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from ray._private.utils import write_ray_address
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    common = {"object_store_memory": OBJECT_STORE_BYTES, "temp_dir": folder}
    head, *workers = nodes
    known = {}

    def add(**given: Any) -> None:
        node = cluster.add_node(**common, **given)
        known[node.node_id] = node

    add(
        include_dashboard=True,
        dashboard_port=free_port(),
        dashboard_host="127.0.0.1",
        dashboard_agent_listen_port=free_port(),
        **head,
    )
    # Where a job on the head looks for its cluster.
    write_ray_address(cluster.address, folder)
    for worker in workers:
        add(**worker)

    def say() -> None:
        stands = {
            "address": cluster.address,
            "dashboard": f"http://{cluster.webui_url}",
            "nodes": list(known),
        }
        answers.write(json.dumps(stands) + "\n")
        answers.flush()

    say()
    for line in sys.stdin:
        what = json.loads(line)
        if "kill" in what:
            cluster.remove_node(known.pop(what["kill"]), allow_graceful=False)
        if "add" in what:
            add(**what["add"])
        say()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
