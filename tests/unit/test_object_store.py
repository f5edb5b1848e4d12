from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study import object_store as objects
from safr_study.errors import BadInput, CorruptCheckpoint, ServiceUnreachable
from safr_study.object_store import Mirror, check_place, children, is_url, join, local_copy, remove


def write(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def place(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


def test_a_place_is_kept_like_its_folder(tmp_path: Path, place: str) -> None:
    here, store = tmp_path / "here", tmp_path / "store"
    here.mkdir()
    mirror = Mirror(place, here)
    mirror.pull()
    assert read(here) == {}
    write(here, state__a="1", state__b="2", model__c="3")
    mirror.push()
    assert read(store) == {"model/c": "3", "state/a": "1", "state/b": "2"}
    (here / "state" / "a").unlink()
    write(here, state__b="22")
    mirror.push()
    assert read(store) == {"model/c": "3", "state/b": "22"}

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Mirror(place, elsewhere)
    other.pull()
    assert read(elsewhere) == read(store)
    # What was fetched and is gone is removed there too.
    (elsewhere / "state" / "b").unlink()
    other.push()
    assert read(store) == {"model/c": "3"}


def test_json_is_copied_last_and_what_did_not_change_not_again(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []
    real = objects._put

    def noted(system: object, file: Path, path: str) -> None:
        put.append(file.name)
        real(system, file, path)

    monkeypatch.setattr(objects, "_put", noted)
    here = tmp_path / "here"
    write(here, **{"a.json": "{}", "z.safetensors": "z"})
    mirror = Mirror(place, here)
    mirror.push()
    assert put == ["z.safetensors", "a.json"]
    mirror.push()
    assert len(put) == 2
    write(here, **{"b.json": "{}"})
    mirror.push()
    assert put[2:] == ["b.json"]


def test_a_push_that_was_cut_off_is_made_good_by_the_next(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    write(here, a="1", b="2")
    mirror = Mirror(place, here)
    real = objects._put

    def failing(system: object, file: Path, path: str) -> None:
        if file.name == "b":
            raise OSError("the store went away")
        real(system, file, path)

    with monkeypatch.context() as patch:
        patch.setattr(objects, "_put", failing)
        with pytest.raises(ServiceUnreachable, match="the store went away"):
            mirror.push()
    mirror.push()
    assert read(tmp_path / "store") == {"a": "1", "b": "2"}


def test_a_place_is_listed_copied_and_removed(tmp_path: Path, place: str) -> None:
    write(tmp_path / "store", x__one="1", y="2")
    assert children(place) == ["x", "y"]
    with local_copy(place) as copy:
        assert read(copy) == {"x/one": "1", "y": "2"}
    assert not copy.exists()
    with local_copy(str(tmp_path / "store")) as itself:
        assert itself == tmp_path / "store"
    remove(join(place, "x"))
    assert children(place) == ["y"]
    remove(join(place, "x"))
    remove(place)
    assert children(place) == []


@pytest.mark.parametrize("name", ["../outside", "x/../../outside", "/tmp/outside"])
def test_no_name_in_a_store_leads_out_of_the_folder(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(tmp_path / "store", x="1")
    monkeypatch.setattr(objects, "_files", lambda *_: [name])
    with pytest.raises(CorruptCheckpoint, match="leads out of its folder"), local_copy(place):
        pass


def test_a_place_below_another() -> None:
    assert join("s3://bucket/", "a", "b") == "s3://bucket/a/b"
    assert join("/home", "a", "b") == "/home/a/b"
    assert is_url("s3://bucket")
    assert not is_url("/s3:/bucket")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("bucket/x", "is no URL"),
        ("http://host/x", "is no URL"),
        ("s3:///x", "is no URL"),
        ("s3://bucket/x?endpoint_override=h", "AWS_ENDPOINT_URL"),
    ],
)
def test_an_url_that_is_none_is_refused(url: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        check_place(url)
    assert str(refused.value).startswith("checkpoints: ")


@given(secret=st.text("abcXYZ019+/=", min_size=8, max_size=20).filter(lambda t: "/" not in t))
def test_a_key_in_an_url_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_place(f"s3://user:{secret}@bucket/x")
    assert secret not in str(refused.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(refused.value)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ServiceUnreachable, match="does not take or give files"):
        check_place((file / "below").as_uri())
    assert check_place(f"{(tmp_path / 'new').as_uri()}/").endswith("/new")
    assert list((tmp_path / "new").iterdir()) == []
