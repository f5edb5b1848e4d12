"""Pretrained encoders of the Hugging Face hub: a few named files of one commit, in the hub's cache.

An encoder is written ``ORGANISATION/NAME``, or with the commit, branch or tag that is meant,
``ORGANISATION/NAME@REVISION``. Where a study is written down the commit is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safr_study.data.library import HUB_SECONDS, innermost, quiet_hub
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.text import first_line


def pinned(name: str, file: str) -> str:
    """An encoder of the hub with the commit that it has now, or had when it was downloaded.

    Args:
        name: as it was given; one that names a revision, or lacks the file, stays as it is.
        file: one of its files, which is looked at.

    Raises:
        BadInput: the hub has no such encoder, or does not give it.
        ServiceUnreachable: it is not on this machine and the hub does not answer.
    """
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    if "@" in name:
        return name
    with _asking(name):
        try:
            path = huggingface_hub.hf_hub_download(name, file, local_files_only=True)
        except LocalEntryNotFoundError:
            if file not in _listed(name, None):
                return name
            path = huggingface_hub.hf_hub_download(name, file)
    # In the cache a commit's files are in a folder of its name.
    return f"{name}@{Path(path).parent.name}"


def downloaded(name: str, files: Sequence[str]) -> Path:
    """A folder with those of some files that an encoder of the hub has.

    Raises:
        BadInput: the hub has no such encoder, or does not give it.
        ServiceUnreachable: it is not on this machine and the hub does not answer.
    """
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository, revision = _parts(name)
    wanted = list(files)
    with _asking(name):
        try:
            cached = huggingface_hub.snapshot_download(
                repository, revision=revision, allow_patterns=wanted, local_files_only=True
            )
            # What broke off is in the cache too.
            if all((Path(cached) / file).is_file() for file in files):
                return Path(cached)
        except LocalEntryNotFoundError:
            pass
        _listed(repository, revision)
        return Path(
            huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=wanted)
        )


def published(name: str) -> frozenset[str]:
    """Names of all the files that an encoder of the hub has; none where the hub is silent."""
    try:
        with _asking(name):
            return _listed(*_parts(name))
    except (BadInput, ServiceUnreachable):
        return frozenset()


def _listed(repository: str, revision: str | None) -> frozenset[str]:
    """Names of the files of a revision, by one question with a short wait.

    The client's downloads try for half a minute and more where the hub does not answer.
    """
    import huggingface_hub

    hub = huggingface_hub.HfApi()
    info = hub.model_info(repository, revision=revision, timeout=HUB_SECONDS)
    return frozenset(one.rfilename for one in info.siblings or ())


def _parts(name: str) -> tuple[str, str | None]:
    repository, _, revision = name.partition("@")
    return repository, revision or None


@contextmanager
def _asking(name: str) -> Iterator[None]:
    """Errors of the hub's client as ours; on a terminal its bars show a download."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # The base classes are those of the HTTP library that the hub's client has.
    failed: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)
    try:
        with quiet_hub(bars=sys.stderr.isatty()):
            yield
    except GatedRepoError as error:
        raise _bad(
            f"the hub gives {name} only to those who accepted its terms; do so on its page and "
            "say `hf auth login`, or give a folder"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise _bad(
            f"no encoder {name!r}: there is no such folder, and the hub knows none (a private one "
            "needs `hf auth login`); check the spelling, or give a folder"
        ) from error
    except RevisionNotFoundError as error:
        raise _bad(
            f"{name}: the hub has no such revision of it; give a commit, a branch or a tag"
        ) from error
    except failed as error:
        cause = innermost(error)
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status in (401, 403):
            raise _bad(
                f"the hub does not give {name} ({first_line(cause)}); say `hf auth login` with a "
                "token that may read it, or give a folder"
            ) from error
        raise ServiceUnreachable(
            f"encoder: {name} is no folder and not in the Hugging Face cache, and the hub did not "
            f"answer to the end ({first_line(cause)}); try again, or give the folder of a copy"
        ) from error


def _bad(sentence: str) -> BadInput:
    return BadInput("encoder", sentence)
