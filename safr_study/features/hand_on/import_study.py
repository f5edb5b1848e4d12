"""Import: a study that somebody exported, checked as a whole and then taken into this home."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safr_study.checkpoint.manifest import file_sha256, read_facts
from safr_study.errors import (
    BadInput,
    CorruptCheckpoint,
    SafrError,
    ServiceUnreachable,
    StudyInterrupted,
)
from safr_study.features.confirm.plan import stored_confirmation
from safr_study.features.hand_on.archive import LEDGER, MODEL_FILES, unpack
from safr_study.features.study_base.results import find_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.features.sync import Synced, sync_study
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import driver_lock
from safr_study.ledger.hand_on import (
    CHECKPOINTS,
    UNREADABLE,
    models,
    place_ledger,
    placed_key,
    read_portable,
)
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import close_storage, ledger_errors, open_storage
from safr_study.text import first_line
from safr_study.tracking.data_names import named_apart
from safr_study.tracking.store import open_store

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """A study that was taken into this home."""

    study: str
    """Name that it has here."""
    trials: int
    models: int
    """Models that came with it."""
    synced: Synced
    """What MLflow has of it now."""


def import_study(
    file: Path, stores: Stores, *, name: str | None = None, say: Say = lambda _: None
) -> Imported:
    """Take a study into a home: its ledger, its models, and from these its runs and versions.

    All of the file is checked before anything of it is in the home, which is made then if need be.
    Of an import that fails or is interrupted nothing stays; the ledger comes last.

    Args:
        file: written by `export_study`, perhaps of somebody who is not trusted.
        stores: where to.
        name: of the study here; ``None``: its own.
        say: told what is done next.

    Raises:
        BadInput: the file is no whole and unchanged study, or there is one of its name.
        CorruptCheckpoint: a model in it is none.
        ServiceUnreachable: the ledger's database or the tracking server does not answer.
    """
    try:
        trials, name, count = _taken_in(file, stores, name, say)
    except KeyboardInterrupt:
        raise StudyInterrupted(
            "interrupted: nothing was imported; the same command begins again"
        ) from None
    say("telling MLflow")
    try:
        return Imported(name, trials, count, sync_study(name, stores))
    except (KeyboardInterrupt, SafrError) as error:
        kind = StudyInterrupted if isinstance(error, KeyboardInterrupt) else ServiceUnreachable
        why = "" if isinstance(error, KeyboardInterrupt) else f" ({error})"
        raise kind(
            f"study {name!r} is imported, but MLflow lacks something of it{why}: "
            f"safr-study sync {name}"
        ) from None


def _taken_in(file: Path, stores: Stores, name: str | None, say: Say) -> tuple[int, str, int]:
    """Write ledger and models: number of trials, name here, number of models."""
    with tempfile.TemporaryDirectory(prefix=".safr-study-import-", dir=_near(stores)) as folder:
        unpacked = Path(folder)
        say("checking the file")
        manifest = unpack(file, unpacked)
        ledger = read_portable(unpacked / LEDGER)
        if ledger.spec.name != manifest.study:
            raise BadInput("file", "its manifest and its ledger name different studies")
        count = _check(ledger, unpacked)
        name = name or ledger.spec.name
        _check_free(name, stores)
        home = open_home(stores.home.root)
        # A wrong address is told before anything is written.
        store = open_store(home, stores.tracking_uri)
        slug = named_apart(ledger.facts, ledger.spec.corpus.dataset, store).slug
        say("writing the ledger")
        with driver_lock(home, name, stores.storage_url):
            _check_free(name, stores)
            with _models_in_place(unpacked / CHECKPOINTS, home, placed_key(ledger, name)):
                _write(ledger, name, slug, stores, unpacked)
        return len(ledger.trials()), name, count


def _near(stores: Stores) -> Path:
    """A folder on the home's disk, so that what is checked there is only renamed."""
    place = stores.home.root
    while not place.is_dir():
        place = place.parent
    return place


def _check(ledger: Ledger, unpacked: Path) -> int:
    """See that the models are those of the ledger, and can be read; their number.

    Raises:
        BadInput: they are others, or the trials cannot be ranked.
        CorruptCheckpoint: one is damaged.
    """
    try:
        rank_ledger(ledger)
        stored_confirmation(ledger)
    except UNREADABLE as error:
        raise BadInput("file", f"its trials cannot be ranked ({first_line(error)})") from error
    named = {ref.uri: ref for _, ref in models(ledger)}
    found = {
        path.parent.relative_to(unpacked).as_posix()
        for path in (unpacked / CHECKPOINTS).rglob("*")
        if path.name in MODEL_FILES and path.is_file()
    }
    if unknown := sorted(found - named.keys()):
        raise BadInput("file", f"{unknown[0]!r} in it is no model of its ledger")
    for place in sorted(found):
        try:
            sha256 = read_facts(unpacked / place).ref.sha256
        except CorruptCheckpoint as error:
            problem = error.problem.replace(f"{unpacked}/", "")
            raise CorruptCheckpoint("file", f"a model in it cannot be used: {problem}") from error
        if sha256 != named[place].sha256:
            raise BadInput("file", f"{place!r} in it is not the model that its trial left")
    return len(found)


def _check_free(name: str, stores: Stores) -> None:
    ledger = find_ledger(name, stores)
    if ledger is not None:
        close_storage(ledger.storage)
        raise BadInput(
            "study", f"there is a study {name!r} already; give this one another name with --as NAME"
        )


@contextmanager
def _models_in_place(models: Path, home: Home, key: str) -> Iterator[None]:
    """The models where the home has them; taken away again if the block fails.

    Raises:
        BadInput: other models are there.
    """
    target = home.checkpoints(key)
    if target.exists() and _digests(target) != _digests(models):
        raise BadInput(
            "home",
            f"{target} has models of a study that is in no ledger here; free them with safr-study "
            "clean, or give this study another name with --as NAME",
        )
    # What an import left that was killed between its models and its ledger.
    shutil.rmtree(target, ignore_errors=True)
    try:
        if models.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(models, target)
        yield
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def _write(ledger: Ledger, name: str, slug: str, stores: Stores, unpacked: Path) -> None:
    """Write the ledger, a journal as a whole, in a database the settings last.

    Raises:
        ServiceUnreachable: the database does not answer.
    """
    home, url = stores.home, stores.storage_url
    # A journal is made aside and gets its name at the end.
    at = home if url is not None else Home(unpacked / "new")
    storage = open_storage(at, url, name, create=True)
    assert storage is not None
    try:
        place_ledger(ledger, storage, home, name=name, slug=slug, tracking_uri=stores.tracking_uri)
        if url is None:
            home.ledger(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(at.ledger(name), home.ledger(name))
    except SafrError:
        raise
    except ledger_errors() as error:
        raise ServiceUnreachable(
            f"storage: the ledger cannot be written ({first_line(error)}); nothing was imported"
        ) from error
    finally:
        close_storage(storage)
