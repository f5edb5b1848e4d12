"""Ray: started here or joined, quietly; and what one trial takes of it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.settings import Resources

GPU_SHARE = 0.25
"""Of one GPU per trial: the paper's model takes well under a quarter of any current one."""

_PROBE_SECONDS = 4.0
_HEAD = ("gcs_server", "raylet")
"""The processes without which no trial runs."""

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
    # The state of the Tuner, all trials each time: nobody reads it back, the ledger has it all.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    # The trace of a worker that died: the ledger has the sentence.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
_LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray listens on every interface otherwise; a test lists the listeners. Ray reads it when it is
imported. Never for a cluster at an address: nodes could not reach each other."""


@dataclass(frozen=True, slots=True)
class Allotment:
    """What the cluster has, divided."""

    cpus_per_trial: float
    gpus_per_trial: float
    max_concurrent: int
    cpus: float
    """Of the whole cluster."""
    gpus: float
    """Of the whole cluster."""

    def sentence(self) -> str:
        """For people: ``2 trials at once, each with 1 CPU``."""
        gpus = f" and {self.gpus_per_trial:g} GPU" if self.gpus_per_trial else ""
        trials = "1 trial" if self.max_concurrent == 1 else f"{self.max_concurrent} trials"
        return f"{trials} at once, each with {self.cpus_per_trial:g} CPU{gpus}"


@contextlib.contextmanager
def cluster(address: str | None = None) -> Iterator[None]:
    """A Ray cluster for the time of the block: a local one, or the one at ``address``.

    Where this process is connected to one already, that one is used and left running.

    Raises:
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
    options = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            ray.init(address="local", include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ServiceUnreachable(
            f"address: Ray at {address or 'this machine'} did not start or answer ({reason}); "
            "check that the cluster runs (ray status) and that the address is right"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def warm_workers(allotment: Allotment) -> None:
    """Let the workers import what a trial needs, while the driver gets the study ready.

    Ray gives a trial a process that has done something before, where one waits. Returns at once; a
    worker that fails here fails in its trial, which says so. Not with GPUs: what a process may see
    of them is decided before its first import.
    """
    import ray

    from safr_study.study.trainable import prepare

    if allotment.gpus_per_trial:
        return
    task = ray.remote(num_cpus=allotment.cpus_per_trial, max_retries=0)(prepare)
    for _ in range(allotment.max_concurrent):
        task.remote()


def head_is_dead() -> bool:
    """Whether Ray's own processes on this machine were killed; never, where they run elsewhere.

    Ray itself ends the driver then, without a word that helps, after a quarter or a whole minute.
    """
    import ray

    node = getattr(ray._private.worker, "_global_node", None)
    return node is not None and any(name in _HEAD for name, _ in node.dead_processes())


def _probe(address: str) -> None:
    """Knock at HOST:PORT: Ray itself waits for minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PROBE_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ServiceUnreachable(
            f"address: nothing answers at {address} ({error}); check that the cluster runs "
            "(ray status) and that the address is right"
        ) from None


def allot(resources: Resources) -> Allotment:
    """Divide the running cluster among trials.

    GPUs are used where there are some and the settings name none.

    Raises:
        BadInput: one trial asks for more than the cluster has.
    """
    import ray

    total = ray.cluster_resources()
    return divide(resources, cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0))


def divide(resources: Resources, *, cpus: float, gpus: float) -> Allotment:
    """How many trials fit, and with what each.

    Raises:
        BadInput: one trial asks for more than there is.
    """
    per_trial = resources.gpus_per_trial
    if per_trial is None:
        per_trial = GPU_SHARE if gpus else 0.0
    for name, wanted, there in (
        ("cpus-per-trial", resources.cpus_per_trial, cpus),
        ("gpus-per-trial", per_trial, gpus),
    ):
        if wanted > there:
            raise BadInput(
                name, f"{wanted:g} is more than the cluster's {there:g}; give {there:g} or less"
            )
    fit = int(cpus / resources.cpus_per_trial + 1e-9)
    if per_trial:
        fit = min(fit, int(gpus / per_trial + 1e-9))
    return Allotment(
        cpus_per_trial=resources.cpus_per_trial,
        gpus_per_trial=per_trial,
        max_concurrent=max(1, min(fit, resources.max_concurrent or fit)),
        cpus=cpus,
        gpus=gpus,
    )
