"""Sync: bring a study from its ledger to MLflow, where something of it is missing there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from safr_study.errors import BadInput, SafrError
from safr_study.features.confirm.confirm import publish_confirmation
from safr_study.features.search.publish import finish_tracking, tracked_study
from safr_study.features.search.search import register
from safr_study.features.study_base.results import find_ledger, load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Lease, driver_lock, drivers
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import Delivery, delivery_begins, delivery_ends
from safr_study.ledger.retention import is_finished
from safr_study.ledger.storage import stored_studies
from safr_study.records import RegisteredModel
from safr_study.tracking.store import open_store
from safr_study.tracking.writer import StudyWriter


@dataclass(frozen=True, slots=True)
class Synced:
    """A study that was brought to MLflow."""

    study: str
    to: str
    """Address of the tracking store, without secrets."""
    runs: int
    """Number of the study's runs in MLflow: its own and those of its trials."""
    points: int
    """Number of metric points that were missing there."""
    models: tuple[RegisteredModel, ...]
    """Registered versions of its front."""
    missing: str | None
    """What MLflow still lacks, in a sentence; ``None``: nothing."""


def unsynced(stores: Stores) -> list[str]:
    """Names of studies without a driver of which MLflow may lack something, by their ledgers."""
    names = stored_studies(stores.home, stores.storage_url)
    running = drivers(stores.home, names, stores.storage_url)
    lacking = []
    for name in names:
        try:
            ledger = find_ledger(name, stores)
        except BadInput:
            continue  # of another version: not to be read here
        if ledger is None:
            continue
        with ledger:
            delivery = Delivery.of(ledger)
        if name not in running and delivery is not None and delivery.missing is not None:
            lacking.append(name)
    return lacking


def sync_study(name: str, stores: Stores) -> Synced:
    """Bring a study from its ledger to MLflow: runs, metrics, tags, files, confirmations, models.

    What is there already is compared and not written again. Without an address the study goes
    where it was tracked.

    Args:
        name: the study's name; it has no driver meanwhile.
        stores: where its ledger is, and where to bring it.

    Raises:
        BadInput: there is no such study, or it has a driver, which brings everything itself.
        ServiceUnreachable: the tracking server does not answer.
    """
    # Asked first: an unknown name leaves no lock behind.
    with load_ledger(name, stores):
        pass
    with (
        driver_lock(stores.home, name, stores.storage_url) as lease,
        load_ledger(name, stores, drive=True) as ledger,
    ):
        return _sync(ledger, _where_it_was(ledger, stores), lease)


def _where_it_was(ledger: Ledger, stores: Stores) -> Stores:
    delivery = Delivery.of(ledger)
    if stores.tracking_uri is not None or delivery is None:
        return stores
    return replace(stores, tracking_uri=delivery.server)


def _sync(ledger: Ledger, stores: Stores, lease: Lease) -> Synced:
    title = f"study {ledger.spec.name!r}"
    before = Delivery.of(ledger)
    store = open_store(stores.home, stores.tracking_uri)
    writer = StudyWriter(store, tracked_study(ledger), runs_now=False)
    writer.start(ledger.trials())
    ended = is_finished(ledger) or (before is not None and before.ended)
    delivery_begins(ledger, stores.tracking_uri, ended=ended)
    lease.check(title)
    missing = finish_tracking(writer, ledger, interrupted=not ended)
    lease.check(title)
    models: Sequence[RegisteredModel] = ()
    result = rank_ledger(ledger)
    if missing is None and ended and result.front:
        models, missing = register(store, ledger, result)
    if missing is None:
        try:
            models = publish_confirmation(ledger, store) or models
        except SafrError as error:
            missing = str(error)
            delivery_ends(ledger, missing, ended=ended)
    return Synced(
        study=ledger.spec.name,
        to=store.shown_uri,
        runs=1 + len(writer.runs.run_ids()),
        points=writer.runs.written,
        models=tuple(models),
        missing=missing,
    )
