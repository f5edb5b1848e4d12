"""Confirm: train a study's front anew under new seeds, and say what is left of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from safr_study.cluster.slots import NodeCapacity, plan_slots
from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.errors import BadInput, SafrError, ServiceUnreachable
from safr_study.features.confirm.output import write_confirmation
from safr_study.features.confirm.plan import (
    ConfirmOutcome,
    ConfirmPlan,
    ConfirmRequest,
    Say,
)
from safr_study.features.confirm.summary import searched_part, stored_confirmation
from safr_study.features.confirm.work import ConfirmWork
from safr_study.features.study_base.provenance import provenance
from safr_study.features.study_base.results import load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import driver_lock
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import Delivery, delivery_ends
from safr_study.records import RegisteredModel
from safr_study.tracking import (
    Store,
    TrackedStudy,
    open_store,
    register_confirmed,
    track_confirmation,
)
from safr_study.uncertainty.confirmation import Confirmation

PER_RUN = "see each run"
"""Device of a confirmation."""


def plan_confirmation(
    request: ConfirmRequest, stores: Stores, *, cpus: float, gpus: float
) -> ConfirmPlan:
    """What ``confirm`` would do on a machine of this size; nothing is written but caches.

    Raises:
        BadInput: as ``confirm``.
    """
    ledger = load_ledger(request.study, stores)
    searched = searched_part(ledger)
    work = ConfirmWork(request, stores, ledger, _same_corpus(ledger, stores), searched)
    return work.plan(plan_slots(work.resources, [NodeCapacity(cpus, gpus)]))


def confirm(request: ConfirmRequest, stores: Stores, *, say: Say) -> ConfirmOutcome:
    """Train the front and the baselines with new seeds, compare, read test once, move the aliases.

    Args:
        request: what was asked for.
        stores: where its services are.
        say: shows what happens, a sentence each.

    Raises:
        StudyInterrupted: by Ctrl-C; all that was finished is in the ledger.
        BadInput: there is no such study, it has no complete trial, or its data changed.
        ServiceUnreachable: the ledger, the hub or the cluster does not answer.
    """
    # Asked first: an unknown name leaves no lock behind.
    load_ledger(request.study, stores)
    with driver_lock(stores.home, request.study, stores.storage_url) as lease:
        ledger = load_ledger(request.study, stores, drive=True)
        searched = searched_part(ledger)
        _look_for_tracking(stores, say)
        work = ConfirmWork(request, stores, ledger, _same_corpus(ledger, stores), searched)
        unmeasured = work.run(lease, say)
        found = work.found()
        lease.check(work.title)
        models, problem = _publish(work, found)
    return ConfirmOutcome(found, tuple(models), problem, unmeasured)


def _same_corpus(ledger: Ledger, stores: Stores) -> EncodedCorpus:
    corpus = encoded_corpus(ledger.spec.corpus, stores.home.corpora)
    if ledger.facts.corpus_fingerprint != corpus.fingerprint:
        raise BadInput(
            "dataset",
            f"the data of study {ledger.spec.name!r} changed since it was searched; give the old "
            "data back, or search anew with --fresh",
        )
    return corpus


def _look_for_tracking(stores: Stores, say: Say) -> None:
    """A wrong address is told before anything is paid for; a silent server may come back."""
    try:
        open_store(stores.home, stores.tracking_uri)
    except ServiceUnreachable as error:
        say(f"warning: {error}; the confirmation goes on, and tries again at its end")


def publish_confirmation(ledger: Ledger, store: Store) -> list[RegisteredModel]:
    """Bring the confirmations that a ledger has to MLflow; nothing where there are none.

    Returns:
        Versions of the confirmed front.

    Raises:
        CorruptCheckpoint: a checkpoint is not what it was when it was written.
        ServiceUnreachable: the tracking server does not do its work.
    """
    found = stored_confirmation(ledger)
    return [] if found is None else _track(ledger, store, found)


def _publish(
    work: ConfirmWork, found: Confirmation
) -> tuple[Sequence[RegisteredModel], SafrError | None]:
    """The runs to MLflow, the models to the registry, the aliases to the confirmed members."""
    if not found.result.ranked:
        return (), None
    try:
        store = open_store(work.stores.home, work.stores.tracking_uri)
        return _track(work.ledger, store, found), None
    except SafrError as error:
        before = Delivery.of(work.ledger)
        delivery_ends(work.ledger, str(error), ended=before is None or before.ended)
        return (), error


def _track(ledger: Ledger, store: Store, found: Confirmation) -> list[RegisteredModel]:
    if not found.result.ranked:
        return []
    tracked = TrackedStudy(
        uid=ledger.uid,
        dataset=ledger.facts.slug,
        spec=ledger.spec,
        provenance=provenance(ledger.facts.corpus_fingerprint, device=PER_RUN),
    )
    with tempfile.TemporaryDirectory() as folder:
        files = write_confirmation(found, Path(folder))
        run_ids = track_confirmation(store, found, tracked, files)
    return register_confirmed(store, found, tracked, run_ids)
