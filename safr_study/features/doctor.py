"""A check of everything that a study needs: what there is, what is wrong, what to do."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement

from safr_study.cluster.ray_cluster import cluster_size, session_folder
from safr_study.data import known_datasets
from safr_study.errors import SafrError, ServiceUnreachable
from safr_study.features.study_base.cost import RESERVE_BYTES
from safr_study.features.study_base.provenance import LIBRARIES, source_commit
from safr_study.features.study_base.results import list_studies
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.storage import stored_studies
from safr_study.redaction import redacted
from safr_study.text import plural

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


class _Problem(Exception):
    """A look that found something to be mended: state, what was found, what to do."""

    def __init__(self, state: State, found: str, advice: str, *, unreachable: bool = False) -> None:
        super().__init__(found)
        self.state, self.found, self.advice, self.unreachable = state, found, advice, unreachable


def diagnose(stores: Stores) -> Iterator[Check]:
    """Look at machine, versions, home, disk, ledger, tracking, Ray, hub and data, one by one.

    Nothing is written but a file in the home that is removed at once.
    """
    looks = (_machine, _versions, _device, _home, _disk, _ledger, _tracking, _ray, _hub, _data_sets)
    for look in looks:
        yield _safely(look.__name__[1:].replace("_", " "), look, stores)


def _safely(name: str, look: Callable[[Stores], str], stores: Stores) -> Check:
    try:
        return Check(name, "ok", redacted(look(stores)))
    except _Problem as problem:
        found, advice = redacted(problem.found), redacted(problem.advice)
        return Check(name, problem.state, found, advice, problem.unreachable)
    except SafrError as error:
        # The sentence says what is wrong and what to do, after its field.
        sentence = str(error).partition(": ")[2] or str(error)
        found, _, advice = sentence.partition("; ")
        return Check(name, "failed", found, advice, isinstance(error, ServiceUnreachable))


def _machine(_stores: Stores) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{platform.system()} {platform.machine()}, {cores} cores"
    memory = psutil.virtual_memory().total
    found += f", {memory / 1e9:.1f} GB of memory"
    if memory < _LOW_MEMORY:
        advice = "use --max-concurrent 1: each trial at once needs a process with torch"
        raise _Problem("warning", found, advice)
    return found


def _versions(_stores: Stores) -> str:
    commit = source_commit()
    shown = ", ".join(f"{name} {_version(name) or 'missing'}" for name in LIBRARIES)
    wrong = [
        f"{needed.name} {there or 'is missing'} (needs {needed.specifier or 'any'})"
        for needed in map(Requirement, metadata.requires("safr-study") or ())
        if needed.marker is None
        and ((there := _version(needed.name)) is None or not _fits(needed, there))
    ]
    if wrong:
        found = f"out of range: {', '.join(wrong)}"
        raise _Problem("warning", found, "install with the project's constraints.txt")
    sources = "" if commit is None else f", commit {commit[:12]}"
    return f"Python {platform.python_version()}, {shown}{sources}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(needed: Requirement, version: str) -> bool:
    return needed.specifier.contains(version, prereleases=True)


def _device(_stores: Stores) -> str:
    import torch

    if not torch.cuda.is_available():
        return "no GPU is used: trials run on CPU cores, one thread each"
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return f"{len(names)} GPUs: {', '.join(sorted(set(names)))}"


def _home(stores: Stores) -> str:
    root, there = stores.home.root, _made_part(stores.home.root)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        found = f"{root} cannot be written ({error.strerror})"
        raise _Problem("failed", found, "give a writable folder with --home") from None
    if there != root:
        return f"{root}, made by the first study"
    if (mode := root.stat().st_mode) & stat.S_IWOTH:
        found = f"{root} may be written by every user of this machine ({stat.filemode(mode)})"
        raise _Problem("warning", found, f"chmod o-w {root}")
    return f"{root} is writable"


def _made_part(root: Path) -> Path:
    return next(path for path in (root, *root.parents) if path.exists())


def _disk(stores: Stores) -> str:
    free = shutil.disk_usage(_made_part(stores.home.root)).free
    found = f"{free / 1e9:.1f} GB free below {stores.home.root}"
    if free < RESERVE_BYTES:
        raise _Problem("failed", found, "free some (safr-study clean) or use another --home")
    if free < _LOW_DISK:
        advice = "search --dry-run says what a study needs; safr-study clean frees what can go"
        raise _Problem("warning", found, advice)
    return found


def _ledger(stores: Stores) -> str:
    where = "a database" if stores.storage_url is not None else "journal files in the home"
    names = stored_studies(stores.home, stores.storage_url)
    found = f"{where}, {plural(len(names), 'study', 'studies')}"
    unreadable = list_studies(stores)[1] if stores.storage_url is None else []
    if unreadable:
        raise _Problem("warning", f"{found}; {unreadable[0]}", "see safr-study list")
    return found


def _tracking(stores: Stores) -> str:
    if stores.tracking_uri is None and not stores.home.tracking_database.exists():
        return "SQLite in the home, made by the first study"
    # MLflow is slow to import: what was found before is shown already.
    from safr_study.tracking.registry import list_models
    from safr_study.tracking.store import open_store

    store = open_store(stores.home, stores.tracking_uri, reads=True)
    versions = len(list_models(store))
    where = "SQLite in the home" if stores.tracking_uri is None else store.shown_uri
    return f"{where} answers, {plural(versions, 'model version')}"


def _ray(stores: Stores) -> str:
    if stores.address is not None:
        return f"{stores.address} answers: {cluster_size(stores.address)}"
    shared = Path("/dev/shm")
    if shared.is_dir() and (bytes_there := shutil.disk_usage(shared).total) < _LOW_SHARED:
        found = f"starts here with each study, but /dev/shm has {bytes_there / 1e6:.0f} MB"
        raise _Problem("warning", found, "give the container more, for example --shm-size 2g")
    with session_folder():
        return "starts here with each study, on the loopback interface alone"


def _hub(_stores: Stores) -> str:
    chosen = os.environ.get("HF_ENDPOINT")
    endpoint = (chosen or _HUB).rstrip("/")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").lower() in ("1", "true", "yes", "on"):
            return f"switched off by {name}; caches and copies are read"
    _check_cache()
    try:
        urllib.request.urlopen(f"{endpoint}/api/datasets?limit=1", timeout=_HUB_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()  # Anything that it says is an answer.
    except (OSError, ValueError) as error:
        state: State = "failed" if chosen else "warning"
        found = f"{endpoint} does not answer ({getattr(error, 'reason', error)})"
        advice = "put copies into SAFR_STUDY_DATA (see README), or use planted"
        raise _Problem(state, found, advice, unreachable=bool(chosen)) from None
    return f"{endpoint} answers"


def _check_cache() -> None:
    """See that what comes from the hub can be kept.

    Raises:
        _Problem: it cannot.
    """
    # Without the library, which takes a second: by the same rule as its own.
    usual = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    cache = Path(os.environ.get("HF_HOME") or usual).expanduser()
    there = next((place for place in (cache, *cache.parents) if place.exists()), cache)
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise _Problem(
            "warning",
            f"{cache}, where what comes from the hub is kept, cannot be written",
            "set HF_HOME to a folder that can; local files need none",
        )


def _data_sets(_stores: Stores) -> str:
    folder = os.environ.get("SAFR_STUDY_DATA")
    if folder and not Path(folder).expanduser().is_dir():
        found = f"SAFR_STUDY_DATA names {folder}, which is no folder"
        raise _Problem("failed", found, "correct or unset it")
    named = [f"{name} ({where})" for name, _, where in known_datasets() if where != "built in"]
    return f"planted (built in), {', '.join(named)}"
