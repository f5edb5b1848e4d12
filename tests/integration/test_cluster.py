"""The local Ray cluster: where it listens, and who may use a study at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment

from safr_study.errors import BadInput
from safr_study.home import open_home
from safr_study.ledger.driver_lock import driver_lock

LISTENERS = """
import json, os, re
from pathlib import Path
from safr_study.cluster.ray_cluster import cluster

LISTEN = "0A"

def descendants(root):
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" ", 1)
        except OSError:
            continue
        parents[int(pid)] = int(rest.rpartition(")")[2].split()[1])
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found

def sockets(pids):
    inodes = set()
    for pid in pids:
        try:
            links = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        inodes |= {m[1] for link in links if (m := re.match(r"socket:\\[(\\d+)\\]", link))}
    return inodes

def listening(inodes):
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in inodes:
                rows.append(fields[1].rpartition(":")[0])
    return rows

with cluster():
    import ray
    ray.get(ray.remote(lambda: 1).remote())
    print(json.dumps(listening(sockets(descendants(os.getpid())))))
"""
LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
"""127.0.0.1, ::1 and ::ffff:127.0.0.1 as the kernel writes them."""


@pytest.mark.cluster
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="lists sockets as Linux does")
def test_a_local_study_listens_on_the_loopback_interface_only(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTENERS],
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found, "Ray listens somewhere: the test looked in the wrong place"
    assert set(found) <= set(LOOPBACK)


ERRORS = """
import logging, threading
from safr_study.cluster.ray_cluster import cluster

said = threading.Event()

class Seen(logging.Handler):
    def emit(self, record):
        if "a trace of a daemon" in record.getMessage():
            said.set()

log = logging.getLogger("safr_study.cluster.ray_cluster")
log.addHandler(Seen())
log.setLevel("INFO")
with cluster():
    from ray._private.utils import publish_error_to_driver
    from ray._private.worker import global_worker
    # Again and again: who listens may not have begun to.
    for _ in range(60):
        publish_error_to_driver("worker_crash", "a trace of a daemon", global_worker.gcs_client)
        if said.wait(1):
            break
    assert said.is_set(), "Ray does not report its errors that way any more"
"""


@pytest.mark.cluster
def test_what_rays_daemons_report_is_logged_and_not_printed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ERRORS],
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def test_a_study_has_one_driver_at_a_time(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    with driver_lock(home, "s"):
        with (
            pytest.raises(BadInput, match="'s' is being run by another process"),
            driver_lock(home, "s"),
        ):
            pass
        with driver_lock(home, "other"):
            pass
    with driver_lock(home, "s"):
        pass
