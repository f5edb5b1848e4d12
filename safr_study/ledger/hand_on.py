"""A ledger that is handed on: one generation of a study as a journal file that says nothing of
where it was made, and that study in the ledger of another home.

A portable ledger names files by their place in the archive that it is part of. It has no addresses,
no runs of MLflow, no request to its driver, and of a path the last name alone.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import OptunaError

from safr_study.checkpoint.manifest import MODEL
from safr_study.data import slugify
from safr_study.errors import BadInput, SafrError
from safr_study.home import Home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import COMMAND, CUT_OFF, DELIVERY, Delivery
from safr_study.ledger.retention import is_finished, study_of, trial_folder
from safr_study.ledger.run_store import confirmed_runs, readings_of_test
from safr_study.ledger.storage import JournalFile, generations
from safr_study.records import CheckpointRef, to_plain
from safr_study.records.run import RunKey
from safr_study.redaction import redacted, redacted_address
from safr_study.text import first_line

CHECKPOINTS = "checkpoints"
"""Folder of the models in an archive."""
CONFIRMED = "confirm"
"""Folder of a confirmation's models, below it."""
_KEPT = ("uid", "schema", "facts", "rules", "known", "spec", COMMAND)
_RUN = "confirm:"
_KEPT_BEGINNINGS = (_RUN, "confirm-test:", "confirm-read:")
"""Attributes of a study that are handed on; others are of the place where it was run."""
_OF_A_PLACE = frozenset(
    ("--home", "--storage", "--tracking-uri", "--checkpoints", "--address", "--ray", "--on-finish")
)
"""Options, each with a value, that mean nothing elsewhere."""
_PATH = re.compile(r"(?<![\w./:-])(?:file:)?~?/+(?:[^\s/'\"`:;,()<>]+/)*(?=[^\s/'\"`:;,()<>])")
"""The folders of an absolute path in a sentence."""
_WRITER = "safr-study"
"""Worker of every line: Optuna's own is new each time."""
UNREADABLE: tuple[type[Exception], ...] = (
    OptunaError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RuntimeError,
)
"""Errors of replaying lines that no ledger has."""

Attributes = dict[str, Any]


def write_portable(ledger: Ledger, path: Path) -> None:
    """Write a study as a journal of its own; the same study gives the same bytes.

    Args:
        ledger: the study, which no driver runs.
        path: of the journal, in a folder that exists.
    """
    found = ledger.study.user_attrs
    before = Delivery.of(ledger)
    ended = is_finished(ledger) or (before is not None and before.ended)
    kept = {
        key: value
        for key, value in found.items()
        if key in _KEPT or key.startswith(_KEPT_BEGINNINGS)
    }
    kept[DELIVERY] = to_plain(Delivery(None, None, ended))
    if COMMAND in kept:
        kept[COMMAND] = _portable_command(kept[COMMAND])
    kept["spec"] = {**kept["spec"], "corpus": portable_corpus(kept["spec"]["corpus"])}
    attributes = _with_runs({key: _portable(value) for key, value in kept.items()}, _in_archive)

    def of_trial(number: int, attrs: Attributes) -> Attributes:
        return _with_model(_portable(attrs), _in_archive((number, None)))

    storage = optuna.storages.JournalStorage(JournalFile(path))
    _copy(ledger, storage, ledger.spec.name, attributes, of_trial)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    signed = [json.dumps({**line, "worker_id": _WRITER}, separators=(",", ":")) for line in lines]
    path.write_text("".join(f"{line}\n" for line in signed), encoding="utf-8")


def read_portable(path: Path) -> Ledger:
    """The study in a journal that somebody else wrote; every record of it has been read.

    Raises:
        BadInput: it is no whole ledger of one study of this version; names the field ``file``.
    """
    try:
        storage = optuna.storages.JournalStorage(JournalFile(path))
        names = [stored.study_name for stored in storage.get_all_studies()]
        ledger = Ledger.load(storage, names[0]) if len(names) == 1 else None
        if ledger is None or ledger.spec.name != names[0]:
            raise ValueError("it holds no study, or several")
        if study_of(ledger.uid) != ledger.spec.name:
            raise ValueError("its key is none of this study")
        if slugify(ledger.facts.slug) != ledger.facts.slug:
            raise ValueError("the name of its data is none")
        named = {key for key in ledger.study.user_attrs if key.startswith(_RUN)}
        if named != {f"{_RUN}{trial}:{seed}" for trial, seed in confirmed_runs(ledger)}:
            raise ValueError("a run of its confirmation is under another's name")
        if any(ref.uri != _in_archive(key) for key, ref in models(ledger)):
            raise ValueError("a model of it has no place in the archive")
        Delivery.of(ledger)
        readings_of_test(ledger)
    except SafrError as error:
        raise BadInput("file", f"its ledger cannot be read: {error}") from error
    except UNREADABLE as error:
        raise BadInput(
            "file",
            f"its ledger cannot be read ({type(error).__name__}: {first_line(error)}); ask for the "
            "file anew",
        ) from error
    return ledger


def models(ledger: Ledger) -> Iterator[tuple[tuple[int, int | None], CheckpointRef]]:
    """Every model that the ledger names: trial and seed, which is ``None`` for the search's own."""
    for trial in ledger.trials():
        if trial.checkpoint is not None:
            yield (trial.number, None), trial.checkpoint
    for key, run in sorted(confirmed_runs(ledger).items()):
        if run.checkpoint is not None:
            yield key, run.checkpoint


def place_ledger(
    ledger: Ledger,
    storage: optuna.storages.BaseStorage,
    home: Home,
    *,
    name: str,
    slug: str,
    tracking_uri: str | None,
) -> None:
    """Write a portable ledger into a home's own, its settings last: before them it is no study.

    MLflow lacks all of it, and the ledger says so.

    Args:
        ledger: as `read_portable` gives it.
        storage: where to; there is no such study yet.
        home: with its models.
        name: of the study from now on.
        slug: of its data in this home's MLflow.
        tracking_uri: where it will be tracked; ``None``: in the home.
    """
    uid, found = placed_key(ledger, name), ledger.study.user_attrs

    def placed(key: tuple[int, int | None]) -> str:
        return str(home.checkpoints(uid) / Path(_in_archive(key)).relative_to(CHECKPOINTS))

    attributes = _with_runs(found, placed)
    attributes["uid"] = uid
    attributes["facts"] = {**found["facts"], "slug": slug}
    ended = bool(found.get(DELIVERY, {}).get("ended", False))
    to = tracking_uri and redacted_address(tracking_uri)
    attributes[DELIVERY] = to_plain(Delivery(to, CUT_OFF, ended))
    if COMMAND in attributes:
        attributes[COMMAND] = _renamed(attributes[COMMAND], name)
    attributes["spec"] = {**attributes.pop("spec"), "name": name}
    number = max((number for number, _ in generations(storage, name)), default=0) + 1
    _copy(
        ledger,
        storage,
        name if number == 1 else f"{name}~{number}",
        attributes,
        lambda trial, attrs: _with_model(attrs, placed((trial, None))),
    )


def placed_key(ledger: Ledger, name: str) -> str:
    """The study's key where it has this name: its own, else a new one, always the same."""
    if name == ledger.spec.name:
        return ledger.uid
    return f"{name}-{hashlib.sha256(ledger.uid.encode()).hexdigest()[:8]}"


def portable_corpus(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a corpus, paths of data and encoder cut to their last names."""
    cut = {
        key: Path(value).name
        for key in ("dataset", "encoder")
        if isinstance(value := plain.get(key), str) and Path(value).is_absolute()
    }
    return {**plain, **cut}


def _copy(
    ledger: Ledger,
    storage: optuna.storages.BaseStorage,
    name: str,
    attributes: Attributes,
    of_trial: Callable[[int, Attributes], Attributes],
) -> None:
    """Write a study into another storage; its settings last."""
    source, from_id = ledger.storage, ledger.storage.get_study_id_from_name(ledger.study.study_name)
    study = storage.create_new_study(source.get_study_directions(from_id), name)
    try:
        for key, value in sorted(source.get_study_system_attrs(from_id).items()):
            storage.set_study_system_attr(study, key, value)
        for trial in ledger.study.get_trials(deepcopy=False):
            made = copy.copy(trial)
            attrs = dict(sorted(trial.user_attrs.items()))
            made.user_attrs = of_trial(trial.number - ledger.known, attrs)
            made.system_attrs = dict(sorted(trial.system_attrs.items()))
            storage.create_new_trial(study, template_trial=made)
        for key in sorted(attributes, key=lambda key: (key == "spec", key)):
            storage.set_study_user_attr(study, key, attributes[key])
    except BaseException:
        # Where it cannot be taken away, it is passed over, as it lacks its settings.
        with contextlib.suppress(Exception):
            storage.delete_study(study)
        raise


def _in_archive(key: RunKey | tuple[int, int | None]) -> str:
    """Folder of a model in an archive, as below the checkpoints of a study."""
    number, seed = key
    if seed is None:
        return f"{trial_folder(CHECKPOINTS, number)}/{MODEL}"
    return f"{CHECKPOINTS}/{CONFIRMED}/{number:05d}-{seed}/{MODEL}"


def _with_runs(
    attributes: Attributes, place: Callable[[tuple[int, int | None]], str]
) -> Attributes:
    """The attributes of a study, with the models of its confirmations where they are now."""
    made = dict(attributes)
    for name, plain in attributes.items():
        if name.startswith(_RUN):
            _, trial, seed = name.split(":")
            made[name] = _with_model(plain, place((int(trial), int(seed))))
    return made


def _with_model(attrs: Attributes, place: str) -> Attributes:
    checkpoint = attrs.get("checkpoint")
    return attrs if not checkpoint else {**attrs, "checkpoint": {**checkpoint, "uri": place}}


def _portable(value: Any) -> Any:
    """A JSON value whose texts have no absolute path and no secret."""
    if isinstance(value, str):
        return _PATH.sub("", redacted(value)) if "/" in value or "=" in value else value
    if isinstance(value, Mapping):
        return {key: _portable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(one) for one in value]
    return value


def _portable_command(words: list[str]) -> list[str]:
    """A command without what is of one machine, its paths cut to their last names."""
    made: list[str] = []
    given = iter(words)
    for word in given:
        option, equals, value = word.partition("=")
        if option in _OF_A_PLACE:
            if not equals:
                next(given, None)
        elif word.startswith("--") and Path(value).is_absolute():
            made.append(f"{option}={Path(value).name}")
        else:
            made.append(Path(word).name if Path(word).is_absolute() else word)
    return made


def _renamed(words: list[str], name: str) -> list[str]:
    """A command for the study under another name."""
    words = list(words)
    for place, word in enumerate(words):
        if word == "--study" and place + 1 < len(words):
            words[place + 1] = name
            return words
        if word.startswith("--study="):
            words[place] = f"--study={name}"
            return words
    return [*words, "--study", name]
