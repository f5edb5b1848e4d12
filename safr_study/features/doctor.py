"""A check of everything that a study needs: what there is, what is wrong, what to do."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from safr_study.cluster.ray_cluster import cluster_size
from safr_study.data import known_datasets
from safr_study.errors import SafrError, ServiceUnreachable
from safr_study.features.study_base.disk import RESERVE_BYTES
from safr_study.features.study_base.provenance import LIBRARIES, source_commit
from safr_study.features.study_base.results import list_studies
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.storage import stored_studies
from safr_study.redaction import redacted
from safr_study.text import plural
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import open_store

State = Literal["ok", "warning", "failed"]
_HUB = "https://huggingface.co"
_HUB_SECONDS = 5.0
"""Wait for the hub's answer."""
_LOW_DISK = 2_000_000_000
"""Bytes: 24 models with the vocabulary of IMDB take as much."""
_LOW_MEMORY = 4_000_000_000
_LOW_SHARED = 1_000_000_000
"""Bytes of /dev/shm: Ray's object store spills to the disk below."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    """What was found, in words."""
    advice: str = ""
    """What to do; empty where nothing has to be done."""
    unreachable: bool = False
    """Whether a service that the user named gave no answer."""


def diagnose(stores: Stores) -> Iterator[Check]:
    """Look at machine, versions, home, disk, ledger, tracking, Ray, hub and data, one by one.

    Nothing is written but a file in the home that is removed at once.
    """
    for name, check in (
        ("machine", _machine),
        ("versions", _versions),
        ("device", _device),
        ("home", _home),
        ("disk", _disk),
        ("ledger", _ledger),
        ("tracking", _tracking),
        ("ray", _ray),
        ("hub", _hub),
        ("data sets", _data_sets),
    ):
        yield _safely(name, check, stores)


def _safely(name: str, check: Callable[[Stores], Check], stores: Stores) -> Check:
    try:
        result = check(stores)
        return replace(result, found=redacted(result.found), advice=redacted(result.advice))
    except SafrError as error:
        # The sentence says what is wrong and what to do, after its field.
        problem = str(error).partition(": ")[2] or str(error)
        found, _, advice = problem.partition("; ")
        return Check(name, "failed", found, advice, isinstance(error, ServiceUnreachable))


def _machine(stores: Stores) -> Check:  # noqa: ARG001
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = _memory()
    found = f"{platform.system()} {platform.machine()}, {cores} cores"
    if memory is None:
        return Check("machine", "ok", found)
    found += f", {memory / 1e9:.1f} GB of memory"
    if memory < _LOW_MEMORY:
        return Check(
            "machine",
            "warning",
            found,
            "use --max-concurrent 1: each trial at once needs a process with torch",
        )
    return Check("machine", "ok", found)


def _versions(stores: Stores) -> Check:  # noqa: ARG001
    commit = source_commit()
    shown = ", ".join(f"{name} {_version(name) or 'missing'}" for name in LIBRARIES)
    found = f"Python {platform.python_version()}, {shown}"
    if commit is not None:
        found += f", commit {commit[:12]}"
    wrong = [
        f"{needed.name} {there or 'is missing'} (needs {needed.specifier or 'any'})"
        for needed in map(Requirement, metadata.requires("safr-study") or ())
        if needed.marker is None
        and ((there := _version(needed.name)) is None or not _fits(needed, there))
    ]
    if wrong:
        return Check(
            "versions", "warning", f"out of range: {', '.join(wrong)}",
            "install with the project's constraints.txt",
        )  # fmt: skip
    return Check("versions", "ok", found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(needed: Requirement, version: str) -> bool:
    return needed.specifier.contains(version, prereleases=True)


def _device(stores: Stores) -> Check:  # noqa: ARG001
    import torch

    if not torch.cuda.is_available():
        return Check("device", "ok", "no GPU is used: trials run on CPU cores, one thread each")
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return Check("device", "ok", f"{len(names)} GPUs: {', '.join(sorted(set(names)))}")


def _home(stores: Stores) -> Check:
    root = stores.home.root
    try:
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        return Check(
            "home", "failed", f"{root} cannot be written ({error.strerror})",
            "give a writable folder with --home",
        )  # fmt: skip
    return Check("home", "ok", f"{root} is writable")


def _disk(stores: Stores) -> Check:
    free = shutil.disk_usage(stores.home.root).free
    found = f"{free / 1e9:.1f} GB free below {stores.home.root}"
    if free < RESERVE_BYTES:
        return Check("disk", "failed", found, "free some (safr-study clean) or use another --home")
    if free < _LOW_DISK:
        advice = "search --dry-run says what a study needs; safr-study clean frees what can go"
        return Check("disk", "warning", found, advice)
    return Check("disk", "ok", found)


def _ledger(stores: Stores) -> Check:
    where = "a database" if stores.storage_url is not None else "journal files in the home"
    names = stored_studies(stores.home, stores.storage_url)
    unreadable = list_studies(stores)[1] if stores.storage_url is None else []
    found = f"{where}, {plural(len(names), 'study', 'studies')}"
    if unreadable:
        return Check("ledger", "warning", f"{found}; {unreadable[0]}", "see safr-study list")
    return Check("ledger", "ok", found)


def _tracking(stores: Stores) -> Check:
    if stores.tracking_uri is None and not stores.home.tracking_database.exists():
        return Check("tracking", "ok", "SQLite in the home, made by the first study")
    store = open_store(stores.home, stores.tracking_uri)
    versions = len(list_models(store))
    where = "SQLite in the home" if stores.tracking_uri is None else store.shown_uri
    return Check(
        "tracking", "ok", f"{where} answers, {plural(versions, 'model version', 'model versions')}"
    )


def _ray(stores: Stores) -> Check:
    if stores.address is not None:
        found = cluster_size(stores.address)
        return Check("ray", "ok", f"{stores.address} answers: {found}")
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).total < _LOW_SHARED:
        size = shutil.disk_usage(shared).total / 1e6
        return Check(
            "ray", "warning", f"starts here with each study, but /dev/shm has {size:.0f} MB",
            "give the container more, for example --shm-size 2g",
        )  # fmt: skip
    return Check("ray", "ok", "starts here with each study, on the loopback interface alone")


def _hub(stores: Stores) -> Check:  # noqa: ARG001
    chosen = os.environ.get("HF_ENDPOINT")
    endpoint = (chosen or _HUB).rstrip("/")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").lower() in ("1", "true", "yes", "on"):
            return Check("hub", "ok", f"switched off by {name}; caches and copies are read")
    try:
        urllib.request.urlopen(f"{endpoint}/api/datasets?limit=1", timeout=_HUB_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()  # Anything that it says is an answer.
    except (OSError, ValueError) as error:
        state: State = "failed" if chosen else "warning"
        found = f"{endpoint} does not answer ({getattr(error, 'reason', error)})"
        local = "put copies into SAFR_STUDY_DATA (see README), or use planted"
        return Check("hub", state, found, local, unreachable=bool(chosen))
    return Check("hub", "ok", f"{endpoint} answers")


def _data_sets(stores: Stores) -> Check:  # noqa: ARG001
    folder = os.environ.get("SAFR_STUDY_DATA")
    if folder and not Path(folder).expanduser().is_dir():
        return Check(
            "data sets", "failed", f"SAFR_STUDY_DATA names {folder}, which is no folder",
            "correct or unset it",
        )  # fmt: skip
    named = [f"{name} ({where})" for name, _, where in known_datasets() if where != "built in"]
    return Check("data sets", "ok", f"planted (built in), {', '.join(named)}")


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
