"""Clean: free the disk of what is never read again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from filelock import FileLock, Timeout

from safr_study.errors import BadInput
from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home
from safr_study.ledger.address import JOURNAL, LedgerAddress
from safr_study.ledger.driver_lock import (
    driver_lock,
    driver_of,
    drivers,
    storages_of,
)
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.retention import (
    Removal,
    folders,
    is_finished,
    is_inside,
    keys_of,
    removable,
    study_of,
    tree_size,
)
from safr_study.ledger.storage import close_storage, open_storage, stored_studies


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """What may be freed in addition to running states of ended trials, scratch and orphans."""

    study: str | None = None
    """One study alone; ``None``: all, and what belongs to none."""
    models: bool = False
    """Models off the front of finished studies, but for the baselines'."""
    caches: bool = False
    """Encoded corpora, which are made again when they are needed."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What may go, or went, and what is left alone."""

    removals: tuple[Removal, ...]
    kept: tuple[str, ...]
    """A sentence each."""
    failed: tuple[str, ...] = ()
    """Sentences on what could not be removed."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(removal.size for removal in self.removals)


def plan_cleaning(request: CleanRequest, stores: Stores) -> Cleaning:
    """What would be freed; nothing is changed.

    Raises:
        BadInput: there is no such study.
        ServiceUnreachable: the ledger's database does not answer.
    """
    home = stores.home
    if request.study is not None:
        with load_ledger(request.study, stores):
            names = [request.study]
    else:
        named = (study_of(folder.name) for folder in _folders_of_studies(home))
        stored = stored_studies(home, stores.storage_url)
        names = sorted({*stored, *(name for name in named if name is not None)})
    removals: list[Removal] = []
    kept: list[str] = []
    for name in names:
        if driver_of(home, name, stores.storage_url) or driver_of(home, name):
            kept.append(f"study {name!r} is running: nothing of it is touched")
            continue
        found, sentences = _of_study(name, request, stores)
        removals += found
        kept += sentences
    if request.study is None and request.caches:
        found, sentences = _caches(home)
        removals += found
        kept += sentences
    return Cleaning(tuple(removals), tuple(kept))


def clean(plan: Cleaning, request: CleanRequest, stores: Stores) -> Cleaning:
    """Remove what a plan has, as far as it still may go.

    Each study is held meanwhile, so that no driver begins to run it.

    Returns:
        What went; no error of the file system ends it.
    """
    removed: list[Removal] = []
    kept: list[str] = []
    failed: list[str] = []
    for name, group in groupby(plan.removals, key=lambda removal: removal.study):
        wanted = list(group)
        if name is None:
            for removal in wanted:
                try:
                    with FileLock(removal.path.with_suffix(".lock"), timeout=0):
                        _remove(stores.home, removal, removed, failed)
                except Timeout:
                    kept.append(f"{removal.path} is being used")
            continue
        try:
            with driver_lock(stores.home, name, stores.storage_url):
                still = {one.path for one in _of_study(name, request, stores)[0]}
                for removal in wanted:
                    if removal.path in still:
                        _remove(stores.home, removal, removed, failed)
        except BadInput:
            kept.append(f"study {name!r} has begun to run: nothing of it is touched")
    return Cleaning(tuple(removed), (*plan.kept, *kept), tuple(failed))


def _of_study(name: str, request: CleanRequest, stores: Stores) -> tuple[list[Removal], list[str]]:
    """What may go of a study that no driver runs, its scratch and its orphans."""
    try:
        ledgers, known = _ledgers(name, stores)
    except BadInput as error:
        return [], [f"{error.problem}: its files are kept"]
    try:
        ended, kept = _ended(name, ledgers, request, stores.home)
    finally:
        for ledger in ledgers:
            close_storage(ledger.storage)
    left, unknown = _leftovers(name, known, stores)
    return ended + left, kept + unknown


def _ended(
    name: str, ledgers: list[Ledger], request: CleanRequest, home: Home
) -> tuple[list[Removal], list[str]]:
    """Files of trials that are over."""
    removals: list[Removal] = []
    kept: list[str] = []
    for ledger in ledgers:
        superseded = ledger is not ledgers[-1]
        keep = None
        if request.models and (superseded or is_finished(ledger)):
            keep = {ranked.trial.number for ranked in rank_ledger(ledger).front}
        elif request.models:
            kept.append(f"study {name!r} is not finished: it keeps its models")
        removals += removable(ledger, home, superseded=superseded, keep=keep)
        if ledger.checkpoints_url is not None:
            kept.append(
                f"study {name!r} keeps its checkpoints at {ledger.checkpoints(home)}: only folders "
                "of the home are cleaned, a store has tools of its own"
            )
    return removals, kept


def _leftovers(name: str, known: set[str], stores: Stores) -> tuple[list[Removal], list[str]]:
    """Folders of the study's runs that no ledger leads to any more."""
    home = stores.home
    removals: list[Removal] = []
    kept: list[str] = []
    for folder in _folders_of_studies(home):
        if study_of(folder.name) != name:
            continue
        if folder.parent == home.scratch:
            removals.append(Removal(folder, "scratch of an ended run", tree_size(folder), name))
        elif folder.name not in known:
            # In a ledger that is not looked at now, perhaps.
            places = storages_of(home, name)
            if places and places <= {JOURNAL, LedgerAddress.parse(stores.storage_url).shown}:
                what = "checkpoints of a study that is in no ledger"
                removals.append(Removal(folder, what, tree_size(folder), name))
            else:
                kept.append(
                    f"{folder} is of no ledger that is known here: give its database with "
                    "--storage, or remove it yourself"
                )
    return removals, kept


def _ledgers(name: str, stores: Stores) -> tuple[list[Ledger], set[str]]:
    """The generations of a study where it is looked for, and its keys wherever it may be."""
    ledgers: list[Ledger] = []
    known: set[str] = set()
    for url in dict.fromkeys((None, stores.storage_url)):
        storage = open_storage(stores.home, url, name, create=False)
        if storage is not None:
            known |= set(keys_of(storage, name))
            if url == stores.storage_url:
                ledgers = Ledger.load_all(storage, name)
            if not ledgers or url != stores.storage_url:
                close_storage(storage)
    return ledgers, known


def _folders_of_studies(home: Home) -> list[Path]:
    return [*folders(home, home.checkpoints("x").parent), *folders(home, home.scratch)]


def _caches(home: Home) -> tuple[list[Removal], list[str]]:
    studies = [path.stem for path in (home.root / "ledgers").glob("*.lock")]
    running = sorted(drivers(home, studies))
    if running:
        return [], [f"study {running[0]!r} is running: the cached corpora are kept"]
    found = folders(home, home.corpora)
    return [Removal(path, "encoded corpus", tree_size(path)) for path in found], []


def _remove(home: Home, removal: Removal, removed: list[Removal], failed: list[str]) -> None:
    # Once more, as it may have changed since it was planned.
    if not is_inside(home, removal.path) or not removal.path.is_dir():
        return
    try:
        shutil.rmtree(removal.path)
    except OSError as error:
        failed.append(f"{removal.path} cannot be removed ({error.strerror or error})")
    else:
        removed.append(removal)
