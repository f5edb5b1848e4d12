"""Folders that every node reaches: a path, or an URL of an object store such as ``s3://BUCKET/x``.

An object store has no folders and no rename. What must be whole carries checksums in a JSON file,
so JSON is copied last: where it is, the rest is there too.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from safr_study.errors import BadInput, CorruptCheckpoint, ServiceUnreachable
from safr_study.redaction import redacted_address
from safr_study.text import summary

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs", "abfs", "abfss", "file")
"""Schemes of the file systems that pyarrow has."""
_CONNECT_SECONDS, _REQUEST_SECONDS = 10.0, 60.0


def is_url(place: str) -> bool:
    """Whether a place is an URL; else it is a path."""
    return "://" in place


def join(place: str, *names: str) -> str:
    """A place below another one."""
    if is_url(place):
        return "/".join([place.rstrip("/"), *names])
    return str(Path(place).joinpath(*names))


def check_place(url: str) -> str:
    """An URL as it was given, without a slash at its end, if files can be kept there.

    Raises:
        BadInput: it is none, or has a secret in it.
        ServiceUnreachable: the store does not answer, refuses, or has no such bucket.
    """
    parts = urlsplit(url)
    example = "s3://BUCKET/PREFIX"
    if parts.scheme not in SCHEMES or not (parts.netloc or parts.scheme == "file"):
        raise BadInput(
            "checkpoints",
            f"{redacted_address(url)!r} is no URL of {', '.join(SCHEMES)}; write for example "
            f"{example}, or file:///FOLDER for one that all nodes share",
        )
    if "@" in parts.netloc and parts.scheme in ("s3", "gs"):
        raise BadInput(
            "checkpoints",
            f"{redacted_address(url)!r} has a key in it, which would be shown in many places; "
            "give keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, and write "
            f"{example}",
        )
    if parts.query or parts.fragment:
        raise BadInput(
            "checkpoints",
            f"{redacted_address(url)!r} has options in it; give the address of an S3-compatible "
            f"store in AWS_ENDPOINT_URL and its region in AWS_DEFAULT_REGION, and write {example}",
        )
    probe = join(url, ".safr-study")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probe"
        file.write_bytes(b"")
        with _answering(url):
            system, path = _open(probe)
            _put(system, file, path)
            system.delete_file(path)
    return url.rstrip("/")


def remove(place: str) -> None:
    """Remove all below a place; nothing where there is nothing.

    Raises:
        ServiceUnreachable: the store does not answer.
    """
    with _answering(place):
        system, path = _open(place)
        for name in _files(system, path):
            system.delete_file(f"{path}/{name}")
        if system.type_name == "local":
            with contextlib.suppress(FileNotFoundError):
                system.delete_dir(path)


def children(place: str) -> list[str]:
    """Names of what is directly below a place, sorted.

    Raises:
        ServiceUnreachable: the store does not answer.
    """
    from pyarrow.fs import FileSelector

    with _answering(place):
        system, path = _open(place)
        found = system.get_file_info(FileSelector(path, allow_not_found=True))
    return sorted({info.base_name for info in found})


@contextlib.contextmanager
def local_copy(place: str) -> Iterator[Path]:
    """A folder with the files of a place: itself where it is a path, else a copy for the block.

    Raises:
        ServiceUnreachable: the store does not answer.
    """
    if not is_url(place):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="safr-study-") as folder:
        Mirror(place, Path(folder)).pull()
        yield Path(folder)


class Mirror:
    """A folder on this machine, and the place that is kept like it."""

    def __init__(self, place: str, folder: Path) -> None:
        """Nothing is copied yet.

        Args:
            place: URL.
            folder: on this machine; only this process writes there.
        """
        self._place = place
        self._folder = folder
        self._known: dict[str, tuple[int, int]] = {}

    def pull(self) -> None:
        """Copy all files of the place here.

        Raises:
            ServiceUnreachable: the store does not answer.
            CorruptCheckpoint: a name there leads out of the folder.
        """
        from pyarrow.fs import LocalFileSystem, copy_files

        with _answering(self._place):
            system, path = _open(self._place)
            for name in _files(system, path):
                target = _inside(self._folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_files(f"{path}/{name}", str(target), system, LocalFileSystem())
        self._known = self._found()

    def push(self) -> None:
        """Copy there what is new here, and remove there what is gone here.

        Raises:
            ServiceUnreachable: the store does not answer.
        """
        now = self._found()
        with _answering(self._place):
            system, path = _open(self._place)
            for name in sorted(now, key=_json_last):
                if self._known.get(name) != now[name]:
                    _put(system, self._folder / name, f"{path}/{name}")
                    self._known[name] = now[name]
            for name in [name for name in self._known if name not in now]:
                with contextlib.suppress(FileNotFoundError):
                    system.delete_file(f"{path}/{name}")
                del self._known[name]

    def _found(self) -> dict[str, tuple[int, int]]:
        """Files here with their time and size."""
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        stats = {path.relative_to(self._folder).as_posix(): path.stat() for path in files}
        return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}


def _open(url: str) -> tuple[FileSystem, str]:
    from pyarrow import fs

    parts = urlsplit(url)
    if parts.scheme != "s3":
        found: tuple[FileSystem, str] = fs.FileSystem.from_uri(url)
        return found
    path = f"{parts.netloc}{parts.path}".rstrip("/")
    options: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if endpoint:
        options["endpoint_override"] = endpoint
        region = region or "us-east-1"
    options["region"] = region or fs.resolve_s3_region(parts.netloc)
    return (
        fs.S3FileSystem(
            connect_timeout=_CONNECT_SECONDS, request_timeout=_REQUEST_SECONDS, **options
        ),
        path,
    )


def _inside(folder: Path, name: str) -> Path:
    target = folder / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise CorruptCheckpoint("checkpoints", f"{name!r} in the store leads out of its folder")
    return target


def _put(system: FileSystem, file: Path, path: str) -> None:
    from pyarrow.fs import LocalFileSystem, copy_files

    if system.type_name == "local":
        system.create_dir(path.rpartition("/")[0], recursive=True)
    copy_files(str(file), path, LocalFileSystem(), system)


def _files(system: FileSystem, path: str) -> list[str]:
    """Names of all files below a path, relative to it; JSON last."""
    from pyarrow.fs import FileSelector, FileType

    found = system.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
    names = [info.path.removeprefix(f"{path}/") for info in found if info.type == FileType.File]
    return sorted(names, key=_json_last)


def _json_last(name: str) -> tuple[bool, str]:
    return name.endswith(".json"), name


@contextlib.contextmanager
def _answering(place: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        # pyarrow's errors are one or the other: no answer, no such bucket, no name of a bucket.
        raise ServiceUnreachable(
            f"checkpoints: {redacted_address(place)} does not take or give files "
            f"({summary(error)}); check that the store runs, that the bucket is there, and "
            "the keys and AWS_ENDPOINT_URL of this node"
        ) from error
