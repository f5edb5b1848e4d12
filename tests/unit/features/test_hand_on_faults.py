"""A file that is no whole and unchanged study is refused in a sentence, and leaves nothing."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from stored_study import files, finished_study, study_spec
from tiny_model import save_tiny_model

import safr_study as ss
from safr_study.checkpoint.manifest import MODEL
from safr_study.errors import BadInput, ServiceUnreachable, StudyInterrupted
from safr_study.features.hand_on import archive as archives
from safr_study.features.hand_on import import_study as importing
from safr_study.features.hand_on.export import export_study
from safr_study.features.study_base.stores import Stores, open_stores
from safr_study.home import open_home

VALUES = {0: (80.0, 10.0), 1: (70.0, 25.0)}
Content = dict[str, bytes]
MODEL_OF_0 = "checkpoints/00000/model"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    home = open_home(folder / "home")
    finished_study(home, study_spec("s", trials=2), VALUES)
    export_study("s", folder / "s.zip", Stores(home))
    return folder / "s.zip"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder in which a home would be made."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def refused(here: Path) -> Callable[..., str]:
    """An import that is refused: its sentence, and that nothing remains."""

    def run(file: Path) -> str:
        with pytest.raises(BadInput) as caught:
            importing.import_study(file, open_stores(here / "home", begins=True))
        assert list(here.iterdir()) == []
        assert "\n" not in str(caught.value)
        assert str(here) not in str(caught.value)
        return str(caught.value)

    return run


def content_of(archive: Path) -> Content:
    with zipfile.ZipFile(archive) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist()}


def packed(path: Path, content: Mapping[str, bytes], *, sums: bool = False) -> Path:
    """An archive with these files; ``sums``: with checksums that are right."""
    content = dict(content)
    if sums:
        del content["SHA256SUMS"]
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
        listed = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
        content["SHA256SUMS"] = listed.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in content.items():
            made.writestr(name, data)
    return path


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_a_byte_that_changed_in_any_file_is_found(
    exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    content = content_of(exported)
    assert len(content) == 12
    for name, data in content.items():
        for place in (0, len(data) // 2, len(data) - 1):
            changed = {**content, name: flipped(data, place)}
            said = refused(packed(tmp_path / "x.zip", changed))
            assert "does not match its checksum; it was changed" in said, (name, place)
            assert name == "SHA256SUMS" or name in said
    # The same files, packed anew, are the study: it was the bytes.
    archives.unpack(packed(tmp_path / "x.zip", content), _folder(tmp_path / "unpacked"))


def test_a_byte_that_changed_in_the_zip_itself_is_found_or_means_nothing(
    exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    whole, broken = exported.read_bytes(), tmp_path / "x.zip"
    with zipfile.ZipFile(exported) as opened:
        places = {info.filename: info.header_offset for info in opened.infolist()}
    for name, offset in places.items():
        # Behind the header and the name: what is packed.
        broken.write_bytes(flipped(whole, offset + 30 + len(name) + 3))
        refused(broken)
    for place in range(0, len(whole), 97):
        broken.write_bytes(flipped(whole, place))
        folder = _folder(tmp_path / "unpacked")
        try:
            archives.unpack(broken, folder)
        except BadInput:
            continue
        # A time, say, or the system that packed it: every file is as it was.
        assert files(folder) == content_of(exported)


def test_a_file_that_is_cut_off_or_none_is_said(
    exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    whole, broken = exported.read_bytes(), tmp_path / "x.zip"
    for length in (0, 1, 22, len(whole) // 3, len(whole) - 100, len(whole) - 1):
        broken.write_bytes(whole[:length])
        assert "is no whole zip" in refused(broken), length
    assert "there is no" in refused(tmp_path / "nowhere.zip")
    assert "cannot be unpacked" in refused(tmp_path)
    broken.write_text("a page of text")
    assert "is no whole zip" in refused(broken)


def _folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


NAMES = (
    *("../x", "/etc/x", "checkpoints/../../x", "checkpoints/00000/model/../../../x"),
    *("checkpoints/00000/model/", "checkpoints\\00000\\model\\model.json", "C:/x", "./report.html"),
    *("run.py", "checkpoints/00000/model/weights.pkl", "checkpoints/00000/state/model.json"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_no_study_has_is_refused(
    name: str, exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    content = {**content_of(exported), name: b"x"}
    said = refused(packed(tmp_path / "x.zip", content, sums=True))
    assert f"it has {name!r}, which no study has" in said
    assert not (tmp_path / "x").exists()


def special(path: Path, content: Content, change: Callable[[zipfile.ZipInfo], object]) -> Path:
    """The same archive, but for what a zip says of one file."""
    with zipfile.ZipFile(path, "w") as made:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            if name == "croissant.json":
                change(info)
            made.writestr(info, data)
    return path


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_a_device_is_refused(
    kind: int, exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o777) << 16

    said = refused(special(tmp_path / "x.zip", content_of(exported), change))
    assert "'croissant.json' is no plain file" in said


def test_what_is_packed_otherwise_or_twice_is_refused(
    exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    content, path = content_of(exported), tmp_path / "x.zip"

    def as_bzip2(info: zipfile.ZipInfo) -> None:
        info.compress_type = zipfile.ZIP_BZIP2

    assert "packed in a way that is not read" in refused(special(path, content, as_bzip2))
    packed(path, content)
    with zipfile.ZipFile(path, "a") as made, pytest.warns(UserWarning, match="Duplicate name"):
        made.writestr("croissant.json", b"{}")
    assert "'croissant.json' is in it twice" in refused(path)
    encrypted = bytearray(packed(path, content).read_bytes())
    central = encrypted.index(b"PK\x01\x02")
    encrypted[central + 8] |= 1
    path.write_bytes(bytes(encrypted))
    assert "is encrypted" in refused(path)


def test_a_file_that_would_fill_the_disk_is_refused_before_it_is_unpacked(
    exported: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, path = content_of(exported), tmp_path / "x.zip"
    bomb = {**content, f"{MODEL_OF_0}/weights.safetensors": bytes(50_000_000)}
    assert "more than 200 times as large" in refused(packed(path, bomb, sums=True))
    assert path.stat().st_size < 200_000
    monkeypatch.setitem(archives._MOST, "croissant.json", 100)
    assert "'croissant.json' is larger than" in refused(exported)
    monkeypatch.undo()
    free = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: free)
    assert "of disk are free" in refused(exported)


def test_a_size_that_is_a_lie_is_found(
    exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    content, path = content_of(exported), tmp_path / "x.zip"
    for size in (0, 10, len(content["report.html"]) + 10):
        changed = bytearray(packed(path, content).read_bytes())
        central = changed.rindex(b"report.html", 0, changed.index(b"PK\x05\x06")) - 46
        assert changed[central : central + 4] == b"PK\x01\x02"
        changed[central + 24 : central + 28] = size.to_bytes(4, "little")
        path.write_bytes(bytes(changed))
        refused(path)


def journal(change: Callable[[str], str]) -> Callable[[Content], Content]:
    return lambda content: {
        **content,
        "ledger.journal": change(content["ledger.journal"].decode()).encode(),
    }


def replaced(old: str, new: str, count: int = -1) -> Callable[[Content], Content]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, count)

    return journal(change)


def manifest(**changes: object) -> Callable[[Content], Content]:
    return lambda content: {
        **content,
        "manifest.json": json.dumps({**json.loads(content["manifest.json"]), **changes}).encode(),
    }


def without(*names: str) -> Callable[[Content], Content]:
    return lambda content: {name: data for name, data in content.items() if name not in names}


def moved_model(content: Content) -> Content:
    return {name.replace("/00000/", "/00007/"): data for name, data in content.items()}


def swapped_models(content: Content) -> Content:
    swap = {"00000": "00001", "00001": "00000"}
    return {
        "/".join(swap.get(part, part) for part in name.split("/")): data
        for name, data in content.items()
    }


def other_weights(content: Content) -> Content:
    name = f"{MODEL_OF_0}/weights.safetensors"
    return {**content, name: content["checkpoints/00001/model/weights.safetensors"]}


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("harm",)


def pickled(content: Content) -> Content:
    return {**content, f"{MODEL_OF_0}/tokenizer.json": pickle.dumps(Harm())}


CRAFTED: dict[str, tuple[Callable[[Content], Content], str]] = {
    "a later version": (manifest(schema_version=2), "version '2' of its format"),
    "no version": (without("manifest.json"), "it lacks manifest.json"),
    "another field": (manifest(run="ls"), "manifest.json: run: unknown field"),
    "another study": (manifest(study="t"), "name different studies"),
    "a list for a manifest": (lambda c: {**c, "manifest.json": b"[]"}, "manifest.json cannot be"),
    "a deep manifest": (
        lambda c: {**c, "manifest.json": b"[" * 100_000},
        "manifest.json cannot be read",
    ),
    "no ledger": (without("ledger.journal"), "it lacks ledger.journal"),
    "an empty ledger": (journal(lambda _: ""), "holds no study"),
    "half a ledger": (journal(lambda text: text[: len(text) // 2]), "its ledger"),
    "a ledger of text": (journal(lambda _: "text\n"), "its ledger cannot be read"),
    "a ledger of numbers": (journal(lambda _: "1\n2\n"), "its ledger cannot be read"),
    "a ledger of no study": (replaced('"op_code":0', '"op_code":99'), "its ledger cannot be read"),
    "another schema": (replaced('"schema":1', '"schema":7'), "schema 7, this version reads 1"),
    "a key that leads out": (replaced('"uid":"s-', '"uid":"../s-'), "its key is none"),
    "a name that leads out": (replaced('"study_name":"s"', '"study_name":"../s"'), "its ledger"),
    "data that lead out": (replaced('"slug":"planted"', '"slug":"../x"'), "name of its data"),
    "a model elsewhere": (
        replaced('"uri":"checkpoints/00000/model"', '"uri":"/etc"'),
        "has no place in the archive",
    ),
    "scores that are none": (replaced('"accuracy":80.0', '"accuracy":"high"'), "file: its"),
    "values that are none": (
        replaced('"values":[80.0,10.0]', '"values":["a","b"]'),
        "cannot be ranked",
    ),
    "a spec that is none": (replaced('"trials":2', '"trials":-2'), "its ledger cannot be read"),
    "a model of no trial": (moved_model, "is no model of its ledger"),
    "models that are swapped": (swapped_models, "is not the model that its trial left"),
    "weights of another": (other_weights, "weights.safetensors does not match its checksum"),
    "a pickle": (pickled, "a model in it cannot be used: "),
    "a model without words": (without(f"{MODEL_OF_0}/vocabulary.txt"), "vocabulary.txt cannot be"),
}
"""Archives whose checksums are right, as somebody made them."""


@pytest.mark.parametrize("name", CRAFTED)
def test_what_was_made_by_somebody_else_is_believed_in_nothing(
    name: str, exported: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    change, says = CRAFTED[name]
    content = change(content_of(exported))
    assert content != content_of(exported)
    assert says in refused(packed(tmp_path / "x.zip", content, sums=True))


def test_a_name_that_is_taken_needs_another_one(exported: Path, tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    finished_study(home, study_spec("s", trials=2), {0: (60.0, 5.0)})
    before = files(home.root)
    with pytest.raises(BadInput, match=r"study: there is a study 's' already; .* --as NAME"):
        importing.import_study(exported, Stores(home))
    assert files(home.root) == before


STOPS = (KeyboardInterrupt, OSError(28, "No space left on device"), ServiceUnreachable("gone"))


@pytest.mark.parametrize("error", STOPS, ids=("interrupted", "full disk", "no answer"))
@pytest.mark.parametrize("database", [False, True])
def test_an_import_that_ends_early_leaves_no_study(
    error: BaseException,
    database: bool,
    exported: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"sqlite:///{here}/x.db" if database else None
    stores = open_stores(here / "home", storage=url, begins=True)
    monkeypatch.setattr(importing, "open_store", lambda *_: None)
    place = importing.place_ledger

    def fails(*given: object, **more: object) -> None:
        place(*given, **more)  # type: ignore[arg-type]
        raise error

    kind = StudyInterrupted if error is KeyboardInterrupt else type(error)
    if database:
        # In the middle of it: its settings are the last that is written.
        def fails_at_spec(storage: object, study: int, key: str, value: object) -> None:
            raise error

        monkeypatch.setattr(
            "optuna.storages.RDBStorage.set_study_user_attr", fails_at_spec, raising=True
        )
    else:
        monkeypatch.setattr(importing, "place_ledger", fails)
    with pytest.raises(kind):
        importing.import_study(exported, stores)
    monkeypatch.undo()
    left = {path.name for path in here.rglob("*") if path.is_file()}
    assert left <= {"home.json", "s.lock", "s.driver", "x.db", "x.db.s.lock", "x.db.s.driver"}
    assert list(ss.studies(home=here / "home", storage=url)) == []
    if isinstance(error, OSError):
        # Nothing is in the way of the next try.
        assert importing.import_study(exported, stores).trials == 2


def test_what_a_killed_import_left_is_taken_up_and_models_of_others_are_not(
    exported: Path, here: Path
) -> None:
    stores = open_stores(here / "home", begins=True)
    archives.unpack(exported, _folder(here / "unpacked"))
    key = next(
        json.loads(line)["user_attr"]["uid"]
        for line in (here / "unpacked" / "ledger.journal").read_text().splitlines()
        if '"uid"' in line
    )
    target = stores.home.checkpoints(key)
    shutil.copytree(here / "unpacked" / "checkpoints", target)
    foreign = save_tiny_model(target / "00005" / MODEL, seed=3)
    before = files(target)
    with pytest.raises(BadInput, match="has models of a study that is in no ledger here"):
        importing.import_study(exported, stores)
    assert files(target) == before
    shutil.rmtree(foreign.parent)
    assert importing.import_study(exported, stores).models == 2
