"""The name that a data set has in MLflow: one for each, also where files are called the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from safr_study.data import is_known
from safr_study.errors import ServiceUnreachable
from safr_study.ledger.ledger import StudyFacts
from safr_study.tracking.entries import KIND_TAG
from safr_study.tracking.runs import experiment_name
from safr_study.tracking.store import Store, all_pages

DIGEST = 16
"""Characters of a corpus's fingerprint that a run's data set has."""


def free_name(store: Store, slug: str, *, source: str, fingerprint: str) -> str:
    """The first of ``reviews``, ``reviews-2``, ... that no other data have in this store.

    Data are the same where they lie in the same place, or have the same texts and limits: a file
    may grow, and may be moved.

    Args:
        store: of the studies.
        slug: name of the data by their own name.
        source: where they were found, one phrase.
        fingerprint: of the corpus.

    Raises:
        ServiceUnreachable: the tracking server does not do its work.
    """
    ours = {_place(source), fingerprint[:DIGEST]}
    with store.translated_errors():
        for number in count(1):
            name = slug if number == 1 else f"{slug}-{number}"
            found = [set(one) for one in _data_of(store, name)]
            if not found or any(ours & one for one in found):
                return name
    raise AssertionError


def named_apart(facts: StudyFacts, dataset: str, store: Store) -> StudyFacts:
    """The facts of a new study, under a name that no other data have in this store.

    Data that are known by name keep it, and so do all where the server fails now: it is waited for
    later, and the plain name has to do.

    Args:
        facts: of a study that is in no store yet.
        dataset: its data, as they were asked for.
        store: of its runs.
    """
    if is_known(dataset):
        return facts
    source = str(facts.corpus.get("source", dataset))
    with suppress(ServiceUnreachable):
        name = free_name(store, facts.slug, source=source, fingerprint=facts.corpus_fingerprint)
        return replace(facts, slug=name)
    return facts


def _data_of(store: Store, name: str) -> Iterator[tuple[str, str]]:
    """Place and digest of the data of each study in an experiment."""
    experiment = store.client.get_experiment_by_name(experiment_name(name))
    if experiment is None:
        return
    query = f"tags.`{KIND_TAG}` = 'study'"
    found = all_pages(store.client.search_runs, [experiment.experiment_id], query, max_results=1000)
    for run in found:
        for given in run.inputs.dataset_inputs:
            yield _place(_source(given.dataset)), str(given.dataset.digest)


def _source(dataset: Any) -> str:
    try:
        return str(json.loads(dataset.source)["uri"])
    except (ValueError, KeyError, TypeError):
        return str(dataset.source)


def _place(source: str) -> str:
    """The path, or what the hub calls it, whether it came from there or from the cache."""
    return source if source.startswith("/") else source.rpartition(" ")[2]
