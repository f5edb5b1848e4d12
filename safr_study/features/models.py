"""The registry's use cases: promote a study's front, list models."""

from __future__ import annotations

from safr_study.errors import BadInput
from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.records import RegisteredModel
from safr_study.tracking.registry import list_models, register_front
from safr_study.tracking.store import open_store, store_exists


def promote_study(name: str, stores: Stores) -> list[RegisteredModel]:
    """Register a study's front and move the data set's bare aliases to it.

    Raises:
        BadInput: there is no such study, or none of its trials is complete.
        ServiceUnreachable: the tracking server does not answer.
    """
    ledger = load_ledger(name, stores)
    result = rank_ledger(ledger)
    if not result.ranked:
        raise BadInput("study", f"{name!r} has no complete trial yet: nothing to promote")
    store = open_store(stores.home, stores.tracking_uri)
    return register_front(store, result, uid=ledger.uid, spec=ledger.spec, promote=True)


def registered_models(stores: Stores) -> list[RegisteredModel]:
    """All versions of all models of safr-study; none where nothing was tracked yet."""
    if not store_exists(stores.home, stores.tracking_uri):
        return []
    return list_models(open_store(stores.home, stores.tracking_uri))
