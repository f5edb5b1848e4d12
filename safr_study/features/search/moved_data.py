"""A study whose data were moved: it is found by its texts, not by where they lie."""

from __future__ import annotations

from pathlib import Path

from safr_study.data import encoded_corpus
from safr_study.features.search.build_spec import made_name
from safr_study.features.study_base.results import find_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.storage import stored_studies
from safr_study.settings import StudySpec


def at_old_place(spec: StudySpec, before: StudySpec) -> StudySpec:
    """The settings with the data where the study has them, if both are files or folders.

    A study that was imported has the last name of their path alone.
    """
    place, given = Path(before.corpus.dataset), Path(spec.corpus.dataset)
    if not given.is_absolute() or not (place.is_absolute() or str(place) == given.name):
        return spec
    moved = {"dataset": before.corpus.dataset}
    return spec.model_copy(update={"corpus": spec.corpus.model_copy(update=moved)})


def under_known_name(spec: StudySpec, stores: Stores) -> StudySpec:
    """The settings under the name that their study has in this home, if its data were moved.

    A name that nobody chose has the data's path in it, so that the same command would begin anew
    once a file, or a folder above it, is elsewhere. A copy is another study: the old place must be
    gone. In a database names stay as they are, as several machines write to it.

    Raises:
        BadInput: the data cannot be read.
    """
    path = Path(spec.corpus.dataset)
    if stores.storage_url is not None or not path.is_absolute() or spec.name != made_name(spec):
        return spec
    # The settings' digest, after the last hyphen, is what differs.
    data = spec.name.rpartition("-")[0]
    alike = [n for n in stored_studies(stores.home, None) if n.rpartition("-")[0] == data]
    if spec.name in alike:
        return spec
    for name in alike:
        ledger = find_ledger(name, stores)
        if ledger is None:
            continue
        with ledger:
            before, texts = ledger.spec, ledger.facts.corpus_fingerprint
        if (
            name == made_name(before)
            and not Path(before.corpus.dataset).exists()
            and at_old_place(spec, before).identity() == before.identity()
            and encoded_corpus(spec.corpus, stores.home.corpora).fingerprint == texts
        ):
            return spec.model_copy(update={"name": name})
    return spec
