"""Models that cannot be used: folders that are not whole, and registries that lie."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bad_input import Case, Table, all_of, counted, writes
from safetensors.torch import load_file, save_file
from tiny_model import save_tiny_model

from safr_study.home import Home
from safr_study.tracking.store import open_store

WEIGHTS, WORDS, MANIFEST = "weights.safetensors", "vocabulary.txt", "model.json"
MODEL: Callable[[Path], object] = lambda folder: save_tiny_model(folder / "model")  # noqa: E731

ABSENT = object()

Step = Callable[[Path], object]


def changed(**values: Any) -> Step:
    """Other values in the manifest; ``ABSENT`` takes a field away."""

    def change(folder: Path) -> object:
        path = folder / "model" / MANIFEST
        plain = {**json.loads(path.read_text("utf-8")), **values}
        kept = {name: value for name, value in plain.items() if value is not ABSENT}
        return path.write_text(json.dumps(kept), "utf-8")

    return change


def resized(**sizes: Any) -> Step:
    """Other sizes in the manifest."""

    def change(folder: Path) -> object:
        path = folder / "model" / MANIFEST
        plain = json.loads(path.read_text("utf-8"))
        plain["config"]["shape"].update(sizes)
        return path.write_text(json.dumps(plain), "utf-8")

    return change


def weighing(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Step:
    """Other weights, under a checksum that is right."""

    def write(folder: Path) -> None:
        path = folder / "model" / WEIGHTS
        save_file(change(load_file(path)), path)
        changed(weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())(folder)

    return write


def replaced(content: bytes) -> Step:
    """Another file for the weights, under a checksum that is right."""
    digest = hashlib.sha256(content).hexdigest()
    return all_of(writes(f"model/{WEIGHTS}", content), changed(weights_sha256=digest))


def cut(name: str) -> Step:
    def halve(folder: Path) -> object:
        path = folder / "model" / name
        content = path.read_bytes()
        return path.write_bytes(content[: len(content) // 2])

    return halve


def gone(name: str) -> Step:
    return lambda folder: (folder / "model" / name).unlink()


def cut_with_its_checksum(folder: Path) -> None:
    cut(WEIGHTS)(folder)
    content = (folder / "model" / WEIGHTS).read_bytes()
    changed(weights_sha256=hashlib.sha256(content).hexdigest())(folder)


def a_pickle() -> bytes:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (Path("run"),))

    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, buffer)
    return pickle.dumps(Trap()) + buffer.getvalue()


def explained(says: str, *steps: Step, **more: Any) -> Case:
    """A folder of a model, with something done to it."""
    return Case(("explain", "model", "a good film"), says, given=all_of(MODEL, *steps), **more)


def pulled(reference: str, says: str, **more: Any) -> Case:
    return Case(("pull", reference, "--to", "there"), says, **more)


FOLDERS: Table = {
    "no folder": Case(("explain", "nowhere", "x"), "model: 'nowhere' is no folder"),
    "a file for a folder": Case(
        ("evaluate", "x"), "model: 'x' is no folder", given=writes("x", "here")
    ),
    "an empty folder": Case(
        ("evaluate", "x"), "model.json cannot be read", given=lambda at: (at / "x").mkdir()
    ),
    "no manifest": explained("model.json cannot be read", gone(MANIFEST)),
    "no weights": explained("weights.safetensors cannot be read", gone(WEIGHTS)),
    "no words": explained("vocabulary.txt cannot be read", gone(WORDS)),
    "a manifest cut in half": explained("model.json cannot be read", cut(MANIFEST)),
    "weights cut in half": explained("does not match its checksum", cut(WEIGHTS)),
    "words cut in half": explained("does not match its checksum", cut(WORDS)),
    "weights cut in half, and their checksum": explained("cannot be read", cut_with_its_checksum),
    "empty weights": explained("cannot be read", replaced(b"")),
    "a pickle for weights": explained("is a pickle or holds one", replaced(a_pickle())),
    "a header of all memory": explained("cannot be read", replaced(b"\xff" * 7 + b"\x7f" + b"{}")),
    "a manifest of another version": explained(
        "model.json: schema_version: input should be 1, but it is 2", changed(schema_version=2)
    ),
    "a manifest without a version": explained(
        "schema_version: is missing", changed(schema_version=ABSENT)
    ),
    "a manifest with more in it": explained("colour: unknown field", changed(colour="red")),
    "a manifest that is a list": explained("model.json", writes(f"model/{MANIFEST}", "[1, 2]")),
    "a manifest that is a number": explained("model.json", writes(f"model/{MANIFEST}", "7")),
    "a manifest nested without end": explained(
        "model.json cannot be read", writes(f"model/{MANIFEST}", "[" * 100_000)
    ),
    "a manifest that is no UTF-8": explained(
        "model.json cannot be read", writes(f"model/{MANIFEST}", b'{"\xff": 1}')
    ),
    "a manifest of a hundred megabytes": explained(
        "model.json is larger than",
        lambda at: os.truncate(at / "model" / MANIFEST, 100_000_000),
    ),
    "an epoch before the first": explained("epoch: ", changed(epoch=0)),
    "no classes": explained("class_names: ", changed(class_names=[])),
    "a class too many": explained("does not fit model.json", changed(class_names=list("abcd"))),
    "a class with a page for a name": explained("class_names", changed(class_names=["x" * 5000])),
    "texts of no length": explained("max_len: ", changed(max_len=0)),
    "texts of any length": explained("max_len: ", changed(max_len=10**9)),
    "other sizes": explained("does not fit model.json", resized(embed_dim=16)),
    "heads that do not fit": explained("heads=3 does not divide embed_dim=8", resized(heads=3)),
    "sizes of all memory": explained(
        "does not fit model.json",
        resized(embed_dim=4096, heads=2, ffn_dim=65536, mask_hidden_dim=65536, layers=24),
    ),
    "a tensor too few": explained(
        "does not fit model.json", weighing(lambda w: dict(sorted(w.items())[1:]))
    ),
    "a tensor too many": explained(
        "does not fit model.json", weighing(lambda w: {**w, "extra": torch.zeros(3)})
    ),
    "tensors of another kind": explained(
        "does not fit model.json",
        weighing(lambda w: {name: value.to(torch.int32) for name, value in w.items()}),
    ),
    "weights that are no numbers": explained(
        "not finite", weighing(lambda w: {name: value * torch.nan for name, value in w.items()})
    ),
    "a text of a book's length": Case(
        ("explain", "model", "word " * 250_000), "text: has 1,250,000 characters", given=MODEL
    ),
    "data of other classes": Case(
        ("evaluate", "model", "--dataset", "planted"), "which the model does not know", given=MODEL
    ),
}
REGISTRY: Table = {
    "no such model": pulled("safr-nothing@knee", "there is no 'safr-nothing'; there is safr-"),
    "no such alias": pulled("safr-planted@best", "safr-planted has no '@best'; there is @"),
    "no such version": pulled("safr-planted/99", "safr-planted has no '/99'"),
    "a version of all digits": pulled("safr-planted/" + "9" * 5000, "model: "),
    "a version that is a word": pulled("safr-planted/newest", "names no model"),
    "two aliases": pulled("safr-planted@knee@knee", "names no model"),
    "nothing": pulled("", "names no model"),
    "a scheme alone": pulled("models:/", "names no model"),
    "a path": pulled("../../etc/passwd", "names no model"),
    "a full folder": pulled(
        "safr-planted@knee", "to: there is not empty", given=writes("there/x", "mine")
    ),
    "a file for a folder": pulled("safr-planted@knee", "--to", given=writes("there", "mine")),
    "a folder below a file": Case(
        ("pull", "safr-planted@knee", "--to", "x/there"),
        "to: x/there cannot be written",
        given=writes("x", "mine"),
    ),
    "an unknown one to evaluate": Case(
        ("evaluate", "models:/safr-nothing@knee"), "there is no 'safr-nothing'"
    ),
    "an unknown one to explain": Case(
        ("explain", "safr-nothing@knee", "x"), "there is no 'safr-nothing'"
    ),
}


@pytest.mark.parametrize("name", counted("model folders", FOLDERS))
def test_a_broken_folder_is_one_sentence(
    name: str, refused: Callable[[Case], None], tmp_path: Path
) -> None:
    refused(FOLDERS[name])
    assert not (tmp_path / "here" / "run").exists()


@pytest.mark.parametrize("name", counted("references to models", REGISTRY))
def test_a_wrong_reference_is_one_sentence(name: str, refused: Callable[[Case], None]) -> None:
    refused(REGISTRY[name])


def lying(change: Callable[[dict[str, str]], object]) -> Callable[[Home], None]:
    """Another list of files in the tags of the registered version."""

    def write(home: Home) -> None:
        client = open_store(home, f"sqlite:///{home.tracking_database}").client
        version = client.get_model_version("safr-planted", "1")
        files = json.dumps(change(json.loads(version.tags["safr.files"])))
        client.set_model_version_tag("safr-planted", "1", "safr.files", files)

    return write


def linked(home: Home) -> None:
    """An artifact that leads to a file of the machine."""
    for path in home.artifacts.rglob("checkpoint/*.json"):
        path.unlink()
        path.symlink_to("/etc/hostname")


LIES: dict[str, tuple[Any, ...]] = {
    "a name that leads out": (
        lying(lambda f: {**f, "../x": "0" * 64}),
        "no readable list of files",
    ),
    "a name from the root": (lying(lambda f: {**f, "/etc/x": "0" * 64}), "no readable list"),
    "a name that hides": (lying(lambda f: {**f, ".x": "0" * 64}), "no readable list of files"),
    "a name of two lines": (lying(lambda f: {**f, "x\n": "0" * 64}), "no readable list of files"),
    "a list of numbers": (lying(list), "no readable list of files"),
    "digests that are numbers": (lying(lambda f: dict.fromkeys(f, 7)), "no readable list of files"),
    "no weights": (
        lying(lambda f: {n: d for n, d in f.items() if not n.endswith("safetensors")}),
        "has 0 .safetensors files, not 1",
    ),
    "other weights": (
        lying(lambda f: {n: "0" * 64 if n.endswith("safetensors") else d for n, d in f.items()}),
        "contradicts itself about its weights",
    ),
    "a file that is not there": (lying(lambda f: {**f, "x.json": "0" * 64}), "x.json of safr-"),
    # MLflow itself does not follow it.
    "a link out of the artifacts": (linked, "refused the request", 4),
}


@pytest.mark.parametrize("name", counted("lies of a registry", dict.fromkeys(LIES, None)))
def test_a_registry_that_lies_is_not_believed(
    name: str,
    refused: Callable[[Case], None],
    finished_home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lie, says, *code = LIES[name]
    home = copied(finished_home, tmp_path / "copy")
    lie(home)
    monkeypatch.setenv("SAFR_STUDY_HOME", str(home.root))
    refused(pulled("safr-planted@knee", says, code=code[0] if code else 2))
    # Neither the folder nor the unfinished one is left.
    assert list((tmp_path / "here").iterdir()) == []


def test_the_copy_without_a_lie_is_pulled(finished_home: Home, tmp_path: Path) -> None:
    from safr_study.tracking.pull import pull

    home = copied(finished_home, tmp_path / "copy")
    store = open_store(home, f"sqlite:///{home.tracking_database}")
    assert pull(store, "safr-planted@knee", tmp_path / "there").is_dir()


def copied(home: Home, root: Path) -> Home:
    """A home of its own for a test that breaks it, with the addresses of its artifacts."""
    import sqlite3

    shutil.copytree(home.root, root)
    with sqlite3.connect(root / "mlflow.db") as database:
        for table, column in (
            ("runs", "artifact_uri"),
            ("experiments", "artifact_location"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (str(home.root), str(root)),
            )
    database.close()
    return Home(root)
