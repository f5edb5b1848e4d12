"""Where a study's services and models are: embedded in the home, or servers by their addresses."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safr_study.errors import BadInput
from safr_study.home import Home, open_home
from safr_study.ledger.address import LedgerAddress

REGISTRY_SCHEME = "models:/"
_TRIAL = re.compile(r"(?P<study>[^/@#\s]+)#(?P<trial>\d+)")
_NUMBERED = re.compile(r"[^@/]+/\d{1,18}")
"""A version by its number, as ``pull`` takes it."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The home and the services that replace its embedded ones."""

    home: Home
    tracking_uri: str | None = field(default=None, repr=False)
    """MLflow; ``None``: SQLite in the home."""
    storage_url: str | None = field(default=None, repr=False)
    """Ledger; ``None``: a journal file in the home."""
    address: str | None = None
    """Ray; ``None``: a cluster on this machine for the time of the study."""
    checkpoints_url: str | None = None
    """URL below which a new study has its checkpoints; ``None``: in the home."""


def open_stores(
    home: Path | str | None = None,
    *,
    tracking_uri: str | None = None,
    storage: str | None = None,
    address: str | None = None,
    checkpoints: str | None = None,
    reads: bool = False,
    resumes: bool = False,
    begins: bool = False,
) -> Stores:
    """The home, which is made where it is missing, and the services of these options.

    Args:
        home: its folder; ``None``: ``SAFR_STUDY_HOME``, else ``./.safr-study``.
        tracking_uri: of MLflow; ``None``: ``MLFLOW_TRACKING_URI``.
        storage: URL of the ledger's database.
        address: of a Ray cluster.
        checkpoints: URL of an object store.
        reads: the command shows what is there and makes no home, so that one which is not there
            is a mistake, unless what it reads is in a database or on a server.
        resumes: the command goes on with what is there: the same mistake, but it writes.
        begins: the command makes the home itself, once it knows that it has something to write.

    Raises:
        BadInput: the home cannot be used, or the ledger's URL is none.
    """
    elsewhere = storage is not None or tracking_uri is not None
    found = open_home(
        home, must_exist=(reads or resumes) and not elsewhere, make=not (reads or begins)
    )
    LedgerAddress.parse(storage)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or None
    return Stores(found, uri, storage, address, checkpoints)


def check_model(reference: str, stores: Stores) -> None:
    """Refuse what can be seen to name no model, before anything slow is imported.

    Raises:
        BadInput: it is no folder, or a name in a registry without any model.
    """
    if _is_registered(reference):
        if stores.tracking_uri is None and not stores.home.tracking_database.exists():
            raise BadInput(
                "model",
                f"there is no {reference.removeprefix(REGISTRY_SCHEME)!r}; none is registered "
                f"yet in {stores.home.root}; run a search first",
            )
    elif _trial_of(reference) is None and not _is_folder(reference):
        raise BadInput(
            "model",
            f"{reference!r} is no folder; give a pulled model's, or models:/NAME@alias "
            "(see safr-study models), or STUDY#TRIAL (see safr-study pareto STUDY)",
        )


@contextmanager
def model_folder(reference: str, stores: Stores) -> Iterator[Path]:
    """The folder of a model while it is needed.

    Args:
        reference: a model's folder, else ``STUDY#TRIAL``, or ``NAME@alias`` or ``NAME/version`` in
            the registry, with or without ``models:/`` before it.
        stores: where registry and ledger are.

    Raises:
        BadInput: there is no such model.
        CorruptCheckpoint: what the registry gave is not what was registered.
        ServiceUnreachable: the tracking server does not answer.
    """
    check_model(reference, stores)
    trial = _trial_of(reference)
    if trial is not None:
        from safr_study.features.study_base.trial_models import trial_model

        with trial_model(*trial, stores) as found:
            yield found
        return
    if _is_registered(reference):
        with tempfile.TemporaryDirectory() as folder:
            yield pull_model(reference, Path(folder) / "model", stores)
        return
    yield Path(reference).expanduser()


def _is_registered(reference: str) -> bool:
    """Whether a name in the registry is meant: no folder that is there, whatever its name."""
    if reference.startswith(REGISTRY_SCHEME):
        return True
    if _is_folder(reference):
        return False
    return "@" in reference or _NUMBERED.fullmatch(reference) is not None


def _is_folder(reference: str) -> bool:
    try:
        return Path(reference).expanduser().is_dir()
    except (OSError, RuntimeError):
        # A name that is too long, or the home of an unknown user.
        return False


def _trial_of(reference: str) -> tuple[str, int] | None:
    """Study and number where a reference names a trial; a folder of such a name comes first."""
    found = _TRIAL.fullmatch(reference)
    if found is None or _is_folder(reference):
        return None
    return found["study"], int(found["trial"])


def pull_model(reference: str, to: Path, stores: Stores) -> Path:
    """Download a version, or copy a trial's model, into a folder, its checksums verified.

    Raises:
        BadInput: there is no such model, or the folder is not empty.
        CorruptCheckpoint: what came is not what was registered.
    """
    trial = _trial_of(reference)
    if trial is not None:
        from safr_study.features.study_base.trial_models import copy_trial

        return copy_trial(*trial, to, stores)
    # MLflow is slow to import.
    from safr_study.tracking.pull import pull
    from safr_study.tracking.store import open_store

    return pull(open_store(stores.home, stores.tracking_uri, reads=True), reference, to)
