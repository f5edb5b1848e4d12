"""A registered checkpoint, downloaded and checked."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.exceptions import MlflowException

from safr_study.checkpoint.manifest import file_sha256
from safr_study.checkpoint.new_folder import empty_target, new_folder
from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.records import RegisteredModel
from safr_study.tracking.moved_home import present_place
from safr_study.tracking.registered_files import FILES_TAG, MODEL_FILES_TAG
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import Store
from safr_study.tracking.versions import file_digests, weights_digest

_ROOM_BYTES = 1_000_000
_SPEC = re.compile(r"(?:models:/)?(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d{1,18}))?")
_PLAIN_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*/)*(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)")


def find_model(store: Store, spec: str) -> RegisteredModel:
    """The version that a user names.

    Args:
        store: whose registry is searched.
        spec: ``NAME@alias``, ``NAME/version`` or ``NAME`` (its knee or compromise, else its newest
            version), with or without ``models:/`` before it.

    Raises:
        BadInput: there is none; the message lists what there is.
        ServiceUnreachable: the tracking server does not do its work.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise BadInput(
            "model", f"{spec!r} names no model; use NAME@alias, NAME/version or NAME alone"
        )
    models = list_models(store)
    versions = [model for model in models if model.name == match["name"]]
    if not versions:
        names = ", ".join(dict.fromkeys(model.name for model in models))
        offer = f"there is {names}" if names else "none is registered yet; run a search first"
        raise BadInput("model", f"there is no {match['name']!r}; {offer}")
    if match["alias"] is not None:
        found = [model for model in versions if match["alias"] in model.aliases]
    elif match["version"] is not None:
        found = [model for model in versions if model.version == str(int(match["version"]))]
    else:
        chosen = ("knee" in model.aliases or "compromise" in model.aliases for model in versions)
        found = [model for model, one in zip(versions, chosen, strict=True) if one] or versions
    if not found:
        aliases = ", ".join(sorted(f"@{alias}" for model in versions for alias in model.aliases))
        numbers = ", ".join(f"/{model.version}" for model in reversed(versions))
        raise BadInput(
            "model",
            f"{match['name']} has no {spec.rpartition(match['name'])[2]!r}; there is "
            + ", ".join(part for part in (aliases, numbers) if part),
        )
    return found[0]


def pull(store: Store, spec: str, to: Path) -> Path:
    """Download a registered checkpoint with its card, and check every file of it.

    The folder appears whole or not at all. Nothing but the files that were registered is fetched.

    Args:
        store: registry and artifacts.
        spec: as in ``find_model``.
        to: a folder that is empty or does not exist.

    Returns:
        The folder, as an absolute path.

    Raises:
        BadInput: no such model, or the folder has something in it or cannot be written.
        CorruptCheckpoint: what came is not what was registered.
        ServiceUnreachable: the tracking server does not do its work.
    """
    target = empty_target(to)
    model = find_model(store, spec)
    digests = _registered_digests(model)
    # Those that MLflow runs and reads, which are looked at and not kept.
    others = _plain_digests(model.tags.get(MODEL_FILES_TAG, "{}"), model)
    with new_folder(to) as kept:
        files = _download(store, model, [*digests, *others], kept.parent)
        for path in digests:
            shutil.copyfile(files[path], kept / _name(path))
        same = all(file_sha256(files[path]) == digest for path, digest in others.items())
        wanted = {_name(path): digest for path, digest in digests.items()}
        if not same or file_digests(kept) != wanted:
            raise CorruptCheckpoint(
                "model",
                f"the files of {model.name}/{model.version} are not those that were registered; "
                "register the study's front again, or pull another version",
            )
    return target


def _registered_digests(model: RegisteredModel) -> dict[str, str]:
    """What the version's tags promise of the files that are kept."""
    where = f"{model.name}/{model.version}"
    digests = _plain_digests(model.tags.get(FILES_TAG, ""), model)
    if weights_digest(digests, where) != model.tags.get("sha256"):
        raise CorruptCheckpoint("model", f"{where} contradicts itself about its weights")
    return digests


def _plain_digests(tag: str, model: RegisteredModel) -> dict[str, str]:
    """Plain paths in a version's folder, each with its SHA-256."""
    where = f"{model.name}/{model.version}"
    try:
        digests = json.loads(tag)
        plain = all(
            _PLAIN_PATH.fullmatch(path) and isinstance(digest, str)
            for path, digest in digests.items()
        )
        # Two files of one name would become one.
        plain &= len({_name(path) for path in digests}) == len(digests)
    except (KeyError, ValueError, AttributeError, TypeError):
        plain = False
    if not plain or model.run_id is None:
        raise CorruptCheckpoint(
            "model", f"{where} has no readable list of files; it was not registered by safr-study"
        )
    return dict(digests)


def _download(
    store: Store, model: RegisteredModel, paths: list[str], folder: Path
) -> dict[str, Path]:
    """Fetch the files that were registered, and no others, below a folder; each by its path."""
    incoming, files = folder / "incoming", {}
    with store.translated_errors():
        place = store.client.get_model_version_download_uri(model.name, model.version)
        if store.home is not None:
            place = present_place(store.home, place)
        for path in paths:
            try:
                # Where below the folder it lands depends on the kind of artifact store.
                file = download_artifacts(
                    artifact_uri=f"{place}/{path}",
                    dst_path=str(incoming),
                    tracking_uri=store.uri,
                    registry_uri=store.uri,
                )
            except (MlflowException, OSError) as error:
                _check_room(folder)
                parent = place + (f"/{path.rpartition('/')[0]}" if "/" in path else "")
                listed = list_artifacts(artifact_uri=parent, tracking_uri=store.uri)
                if _name(path) in {_name(item.path) for item in listed}:
                    raise
                raise CorruptCheckpoint(
                    "model",
                    f"{path} of {model.name}/{model.version} is missing from its artifacts; pull "
                    "another version",
                ) from error
            files[path] = Path(file)
    return files


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _check_room(folder: Path) -> None:
    """See whether it was the disk: MLflow does not tell why a download failed.

    Raises:
        BadInput: the folder takes no more.
    """
    try:
        (folder / "room").write_bytes(bytes(_ROOM_BYTES))
    except OSError as error:
        raise BadInput(
            "to", f"the disk takes no more ({error.strerror}); free some, or name another folder"
        ) from error
    (folder / "room").unlink()
