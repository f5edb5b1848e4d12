"""Encoders of a hub: what is asked for, what is kept, and which commit is meant later."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, Repository, asked_by_client, running_hub
from tiny_encoder import tiny_encoder

import safr_study as ss
from safr_study.data import find_encoder, read_encoder
from safr_study.data.encoder_files import canonical_encoder
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.search.build_spec import study_spec

NAME = "acme/tiny"
PINNED = f"{NAME}@{COMMIT}"
READ = {"config.json", "model.safetensors", "tokenizer.json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder("bert", tmp_path_factory.mktemp("encoder") / "bert")


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    # As most repositories: the same weights once more as a pickle, and much else.
    files |= {"pytorch_model.bin": b"\x80\x02.", "README.md": b"# tiny", "onnx/model.onnx": b"x"}
    with running_hub({f"models/{NAME}": Repository(files)}) as hub:
        asked_by_client(hub, monkeypatch, tmp_path / "huggingface")
        yield hub


def fetched(hub: Hub) -> set[str]:
    return {request.rpartition("/")[2] for request in hub.requests if "/resolve/" in request}


def test_only_what_is_read_is_fetched_and_once(hub: Hub, folder: Path) -> None:
    found = find_encoder(NAME)
    assert found.sha256 == read_encoder(folder).sha256
    assert fetched(hub) == READ
    hub.requests.clear()
    assert find_encoder(NAME).sha256 == found.sha256
    assert hub.requests == []


def test_what_is_recorded_names_the_commit_and_stays_the_same_when_the_hub_goes_on(
    hub: Hub, folder: Path
) -> None:
    assert canonical_encoder(NAME) == PINNED
    assert canonical_encoder(PINNED) == PINNED
    assert fetched(hub) == {"config.json"}
    first = find_encoder(PINNED)
    # Another commit on the same branch: what is here is still meant, and needs no hub.
    repository = hub.repositories[f"models/{NAME}"]
    repository.commit = "f" * 40
    repository.files = {**repository.files, "config.json": b"{}"}
    hub.requests.clear()
    assert canonical_encoder(NAME) == PINNED
    assert find_encoder(PINNED).sha256 == first.sha256 == read_encoder(folder).sha256
    assert hub.requests == []


def test_a_machine_without_a_copy_fetches_the_commit_that_is_named(hub: Hub) -> None:
    find_encoder(PINNED)
    asked = [request for request in hub.requests if "/resolve/" in request]
    assert asked
    assert all(f"/resolve/{COMMIT}/" in request for request in asked)


def test_a_study_has_the_commit_in_its_settings(hub: Hub) -> None:
    options = {name: one.default for name, one in signature(ss.search).parameters.items()}
    given = {"dataset": "planted", "objective": options["objectives"], "encoder": NAME}
    spec = study_spec({**options, **given})
    assert spec.corpus.encoder == PINNED


def test_a_download_that_broke_off_is_finished_by_the_next(hub: Hub, folder: Path) -> None:
    repository = hub.repositories[f"models/{NAME}"]
    repository.breaks = "model.safetensors"
    with pytest.raises(ServiceUnreachable, match=r"the hub did not answer to the end \(.*503"):
        find_encoder(NAME)
    # The hub is still away: what is there of it is not taken for an encoder.
    with pytest.raises(ServiceUnreachable, match="did not answer to the end"):
        find_encoder(NAME)
    repository.breaks = repository.refused = None
    assert find_encoder(NAME).sha256 == read_encoder(folder).sha256


def test_a_pickle_alone_is_refused_with_the_command_that_converts_it(hub: Hub) -> None:
    repository = hub.repositories[f"models/{NAME}"]
    weights = "model.safetensors"
    repository.files = {
        name: repository.files[name] for name in repository.files if name != weights
    }
    with pytest.raises(BadInput) as told:
        find_encoder(PINNED)
    assert str(told.value) == (
        f"encoder: {PINNED} has its weights as a pickle (pytorch_model.bin), which can run any "
        'code; convert them where you trust them: python -c "from transformers import AutoModel, '
        f"AutoTokenizer; AutoModel.from_pretrained('{NAME}', revision='{COMMIT}')"
        f".save_pretrained('FOLDER'); AutoTokenizer.from_pretrained('{NAME}', "
        f"revision='{COMMIT}').save_pretrained('FOLDER')\", and give --encoder FOLDER"
    )
    assert fetched(hub) == READ - {"model.safetensors"}
