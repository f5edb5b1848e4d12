"""Checkpoints in an S3 store, over its real protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from services import BUCKET, s3_server

from safr_study.errors import ServiceUnreachable
from safr_study.object_store import Mirror, check_place, children, local_copy, remove

pytestmark = pytest.mark.cluster
LARGE = 12 * 1024 * 1024
"""Bytes: more than one part of an upload."""


@pytest.fixture(scope="module")
def keys() -> Iterator[dict[str, str]]:
    with s3_server() as environment:
        yield environment


@pytest.fixture(autouse=True)
def _reached(keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in keys.items():
        monkeypatch.setenv(name, value)


def size(place: str) -> int:
    """Bytes of all files below a place."""
    with local_copy(place) as copy:
        return sum(path.stat().st_size for path in copy.rglob("*") if path.is_file())


def test_a_folder_goes_there_and_comes_back(tmp_path: Path) -> None:
    place = check_place(f"s3://{BUCKET}/checkpoints/")
    assert place == f"s3://{BUCKET}/checkpoints"
    here = tmp_path / "here"
    (here / "state").mkdir(parents=True)
    content = bytes(range(256)) * (LARGE // 256)
    (here / "state" / "weights").write_bytes(content)
    (here / "state" / "facts.json").write_text("{}")
    mirror = Mirror(f"{place}/00001", here)
    mirror.push()
    assert size(place) == LARGE + 2
    with local_copy(f"{place}/00001") as copy:
        assert (copy / "state" / "weights").read_bytes() == content
        assert (copy / "state" / "facts.json").read_text() == "{}"
    (here / "state" / "weights").unlink()
    mirror.push()
    assert size(place) == 2
    assert children(f"{place}/00001") == ["state"]
    # A name that only begins alike is another trial's.
    (here / "state" / "facts.json").write_text("[]")
    Mirror(f"{place}/000011", here).push()
    remove(f"{place}/00001")
    assert size(f"{place}/00001") == 0
    assert size(f"{place}/000011") == 2


def test_a_bucket_that_is_not_there_is_told_without_a_key(
    keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServiceUnreachable, match="checkpoints: s3://nowhere/x") as refused:
        check_place("s3://nowhere/x")
    assert keys["AWS_SECRET_ACCESS_KEY"] not in str(refused.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceUnreachable, match="AWS_ENDPOINT_URL"):
        check_place(f"s3://{BUCKET}/x")
