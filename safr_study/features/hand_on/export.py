"""Export: a study as one file for somebody else, who needs neither this home nor its services."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import safr_study
from safr_study.checkpoint.manifest import MANIFEST as MODEL_MANIFEST
from safr_study.checkpoint.manifest import verify_model
from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.features.hand_on.archive import (
    CRATE,
    DATA,
    LEDGER,
    MANIFEST,
    MODEL_FILES,
    PAGE,
    Archive,
    Manifest,
    new_archive,
)
from safr_study.features.hand_on.metadata import crate_of, croissant_of
from safr_study.features.report.page import write_report
from safr_study.features.report.report import ReportRequest
from safr_study.features.study_base.results import (
    check_file,
    check_replaced,
    load_ledger,
    rank_ledger,
)
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home
from safr_study.ledger.driver_lock import driver_of
from safr_study.ledger.hand_on import models, portable_corpus, read_portable, write_portable
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import began
from safr_study.ledger.run_store import confirmed_runs
from safr_study.object_store import is_url, local_copy
from safr_study.records import CheckpointRef

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """A study that was written to a file."""

    study: str
    written: Path
    bytes: int
    """Size of the file."""
    files: int
    """Files in it."""
    models: int
    """Models in it."""
    missing: tuple[str, ...]
    """Models that the ledger names and that are no longer there, a phrase each."""


def export_study(
    name: str, out: Path, stores: Stores, *, force: bool = False, say: Say = lambda _: None
) -> Exported:
    """Write a study with its models into one file; the same study gives the same bytes.

    Args:
        name: the study's name; no driver has it.
        out: the file, ``.zip``.
        stores: where its ledger is.
        force: replace the file where it is there.
        say: told what is done next.

    Raises:
        BadInput: there is no such study, a driver has it, or the file cannot be written.
        CorruptCheckpoint: a model is not what its trial left.
        ServiceUnreachable: the ledger or the object store does not answer.
    """
    check_file("out", out, (".zip",), "is no archive; end it in .zip")
    check_replaced("out", out, force=force)
    with load_ledger(name, stores) as ledger, tempfile.TemporaryDirectory() as folder:
        if driver_of(stores.home, name, stores.storage_url) is not None:
            raise BadInput(
                "study",
                f"{name!r} is being run; wait for it, or end it with safr-study stop {name}",
            )
        say("reading the ledger")
        # What is said of the study is made from what is handed on, and from nothing else.
        home = Home(Path(folder))
        journal = home.ledger(name)
        journal.parent.mkdir()
        write_portable(ledger, journal)
        handed = read_portable(journal)
        moment = _moment(handed)
        with new_archive(out) as archive:
            missing = _add_models(archive, ledger, handed, say)
            say("writing the page")
            page = Path(folder) / PAGE
            request = ReportRequest(name, page, quick=True, written=moment)
            write_report(request, Stores(home))
            archive.add(PAGE, page)
            archive.add(LEDGER, journal)
            spec, facts = handed.spec, handed.facts
            manifest = Manifest(safr_study=safr_study.__version__, study=name)
            archive.add_json(MANIFEST, manifest.model_dump(mode="json"))
            archive.add_json(DATA, croissant_of(spec, facts))
            crate = crate_of(rank_ledger(handed), spec, facts, archive.files, moment)
            archive.add_json(CRATE, crate)
        return Exported(
            study=name,
            written=out,
            bytes=out.stat().st_size,
            files=len(archive.files),
            models=sum(file.endswith(f"/{MODEL_MANIFEST}") for file in archive.files),
            missing=tuple(missing),
        )


def _moment(ledger: Ledger) -> str:
    """When the last of it was measured, ISO 8601 in UTC."""
    ended = [trial.ended for trial in ledger.trials() if trial.ended is not None]
    runs = [datetime.fromisoformat(run.ended) for run in confirmed_runs(ledger).values()]
    latest = max([*ended, *(run.timestamp() for run in runs)], default=began(ledger) or 0.0)
    return datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds")


def _add_models(archive: Archive, ledger: Ledger, handed: Ledger, say: Say) -> list[str]:
    """Write every model that is there; phrases on those that are not."""
    places = {key: ref.uri for key, ref in models(handed)}
    missing = []
    for number, (key, ref) in enumerate(models(ledger), start=1):
        say(f"packing model {number} of {len(places)}")
        trial, seed = key
        which = f"trial {trial}" if seed is None else f"trial {trial} under seed {seed}"
        with local_copy(ref.uri) as folder:
            if not is_url(ref.uri) and not folder.exists():
                missing.append(which)
            else:
                _add_model(archive, folder, ref, places[key], which)
    return missing


def _add_model(archive: Archive, folder: Path, ref: CheckpointRef, place: str, which: str) -> None:
    if verify_model(folder).sha256 != ref.sha256:
        raise CorruptCheckpoint(
            "checkpoint", f"{folder} is not the model that {which} left; it cannot be handed on"
        )
    for name in MODEL_FILES:
        path = folder / name
        if name == MODEL_MANIFEST:
            archive.add(f"{place}/{name}", _portable_manifest(path.read_text("utf-8")))
        elif path.exists():
            archive.add(f"{place}/{name}", path)


def _portable_manifest(text: str) -> str:
    """A model's manifest, as it stands unless it has a path of this machine."""
    plain: dict[str, Any] = json.loads(text)
    cut = {**plain, "corpus": portable_corpus(plain["corpus"])}
    if cut == plain:
        return text
    return json.dumps(cut, indent=2, ensure_ascii=False) + "\n"
