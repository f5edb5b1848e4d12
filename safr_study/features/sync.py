"""Sync: bring a study from its ledger to MLflow, where something of it is missing there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from safr_study.errors import SafrError
from safr_study.features.confirm.confirm import publish_confirmation
from safr_study.features.search.publish import finish_tracking
from safr_study.features.search.search import register
from safr_study.features.study_base.results import driven_ledger, rank_ledger, stored_ledgers
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import Delivery, delivery_begins, delivery_ends
from safr_study.ledger.retention import is_finished
from safr_study.records import RegisteredModel
from safr_study.tracking.store import open_store
from safr_study.tracking.study_runs import TrackedStudy
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
    # One of another version is not to be read here.
    return [
        name
        for name, running, ledger in stored_ledgers(stores)
        if not running
        and isinstance(ledger, Ledger)
        and (delivery := Delivery.of(ledger)) is not None
        and delivery.missing is not None
    ]


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
    with driven_ledger(name, stores) as (ledger, lease):
        before = Delivery.of(ledger)
        if stores.tracking_uri is None and before is not None:
            stores = replace(stores, tracking_uri=before.server)
        return _sync(ledger, before, stores, lease)


def _sync(ledger: Ledger, before: Delivery | None, stores: Stores, lease: Lease) -> Synced:
    title = f"study {ledger.spec.name!r}"
    store = open_store(stores.home, stores.tracking_uri)
    writer = StudyWriter(store, TrackedStudy.of(ledger), runs_now=False)
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
