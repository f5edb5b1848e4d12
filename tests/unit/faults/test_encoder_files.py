"""Encoders that cannot be used: folders that are not whole, and hubs that do not give one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from bad_input import Case, Table, counted
from hub_server import Hub, Repository, asked_by_client, running_hub
from tiny_encoder import tiny_encoder

CONFIG, TOKENIZER, WEIGHTS, PICKLE = (
    "config.json",
    "tokenizer.json",
    "model.safetensors",
    "pytorch_model.bin",
)
Files = Mapping[str, bytes]
Spoil = Callable[[Files], Files]


def without(*names: str) -> Spoil:
    return lambda files: {name: files[name] for name in files if name not in names}


def cut(name: str, size: int) -> Spoil:
    return lambda files: {**files, name: files[name][:size]}


def saying(**fields: object) -> Spoil:
    """Another configuration."""
    return lambda files: {
        **files,
        CONFIG: json.dumps({**json.loads(files[CONFIG]), **fields}).encode(),
    }


def pickled(files: Files) -> Files:
    """Weights that nobody may load, in the place of those that may."""
    return {**without(WEIGHTS)(files), PICKLE: b"\x80\x02."}


SPOILED: dict[str, tuple[Spoil, str]] = {
    "no configuration": (without(CONFIG), "has no config.json; give a whole encoder"),
    "no tokenizer": (without(TOKENIZER), "has no tokenizer.json; write it: python -c"),
    "no weights": (without(WEIGHTS), "has no model.safetensors; give a whole encoder"),
    "weights as a pickle": (pickled, "weights as a pickle (pytorch_model.bin), which can run any"),
    "another architecture": (saying(model_type="gpt2"), "is of the kind 'gpt2', which cannot be"),
    "sizes of other weights": (saying(intermediate_size=24), "its files are not of one encoder"),
    "more blocks than weights": (saying(num_hidden_layers=3), "has no encoder.layer.2."),
    "sizes that cannot be": (saying(num_attention_heads=5), "has no fitting heads"),
    "truncated weights": (cut(WEIGHTS, 5000), "model.safetensors in "),
    "a truncated header of weights": (cut(WEIGHTS, 500), "cannot be read"),
    "empty weights": (cut(WEIGHTS, 0), "cannot be read"),
    "a truncated tokenizer": (cut(TOKENIZER, 20), "tokenizer.json in "),
    "a truncated configuration": (cut(CONFIG, 20), "config.json in "),
}


def over(encoder: str, says: str, **more: object) -> Case:
    return Case(
        ("search", "--dataset", "planted", "--dry-run", "--encoder", encoder),
        says,
        **more,  # type: ignore[arg-type]
    )


FOLDERS: Table = {
    "no such folder": over("./nowhere", "encoder: there is no folder {}/nowhere"),
    "a file": over("x", "encoder: 'x' is no folder", given=lambda at: (at / "x").write_text("x")),
    "a blank": over(" ", "encoder: ' ' is no folder of an encoder"),
    **{name: over("tiny", says) for name, (_, says) in SPOILED.items()},
}
HUB: Table = {
    "no such id": over("acme/nothing", "no encoder 'acme/nothing': there is no such folder, and"),
    "an id that cannot be": over("acme/no such", "encoder: no encoder 'acme/no such'"),
    "no such revision": over("acme/tiny@old", "the hub has no such revision of it"),
    "terms to accept": over("acme/gated", "only to those who accepted its terms"),
    "a token without the right": over("acme/forbidden", "say `hf auth login` with a token"),
    "nobody known": over("acme/private", "no encoder 'acme/private'"),
    "a hub out of order": over("acme/overloaded", "the hub did not answer to the end", code=4),
    "a hub that breaks off": over("acme/breaking", "the hub did not answer to the end", code=4),
    **{f"the hub: {name}": over("acme/spoiled", says) for name, (_, says) in SPOILED.items()},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tiny_encoder("bert", tmp_path_factory.mktemp("encoder") / "bert")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub with one whole encoder, and others that it does not give."""
    given = {
        "tiny": Repository(files),
        "gated": Repository(files, refused=(403, "GatedRepo")),
        "forbidden": Repository(files, refused=(403, "Forbidden")),
        "private": Repository(files, refused=(401, "RepoNotFound")),
        "overloaded": Repository(files, refused=(500, "Overloaded")),
        "breaking": Repository(files, breaks=WEIGHTS),
        "spoiled": Repository(files),
    }
    with running_hub({f"models/acme/{name}": one for name, one in given.items()}) as hub:
        asked_by_client(hub, monkeypatch, tmp_path / "huggingface")
        yield hub


@pytest.mark.parametrize("name", counted("folders of encoders", FOLDERS))
def test_a_broken_folder_is_one_sentence(
    name: str, refused: Callable[[Case], None], files: Files, tmp_path: Path
) -> None:
    folder = tmp_path / "here" / "tiny"
    folder.mkdir()
    spoil = SPOILED[name][0] if name in SPOILED else dict
    for file, content in spoil(files).items():
        (folder / file).write_bytes(content)
    refused(FOLDERS[name])


@pytest.mark.parametrize("name", counted("encoders of the hub", HUB))
def test_what_the_hub_does_not_give_is_one_sentence(
    name: str, refused: Callable[[Case], None], files: Files, hub: Hub
) -> None:
    place = name.removeprefix("the hub: ")
    if place in SPOILED:
        hub.repositories["models/acme/spoiled"].files = SPOILED[place][0](files)
    refused(HUB[name])
    assert not any(PICKLE in request for request in hub.requests)
