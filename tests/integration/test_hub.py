"""The real download path, against a loopback server that speaks the hub's protocol."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, Repository, running_hub
from tiny_encoder import tiny_encoder

from safr_study.data import read_encoder

REPOSITORY = "acme/reviews"
FILES = {
    "train.csv": "text,label\n"
    + "".join(f"film {i},{'good' if i % 2 else 'bad'}\n" for i in range(8)),
    "validation.csv": "text,label\nfine film,good\npoor film,bad\n",
}
PROGRAM = """
import json, sys
from safr_study.data import load_corpus
from safr_study.errors import SafrError
from safr_study.settings import CorpusSpec
try:
    corpus = load_corpus(CorpusSpec(dataset=sys.argv[1]))
except SafrError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
print(json.dumps({
    "source": corpus.source, "class_names": corpus.class_names,
    "train": [corpus.train.texts, corpus.train.labels.tolist()],
    "dev": [corpus.dev.texts, corpus.dev.labels.tolist()],
}))
"""
ENCODER = """
import json, sys
from safr_study.data import find_encoder
from safr_study.data.encoder_files import canonical_encoder
name = canonical_encoder(sys.argv[1])
print(json.dumps([name, find_encoder(name).sha256]))
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {name: content.encode() for name, content in FILES.items()}
    with running_hub({f"datasets/{REPOSITORY}": Repository(files)}) as hub:
        yield hub


def _load(
    name: str, endpoint: str, home: Path, *, program: str = PROGRAM, **extra: str
) -> subprocess.CompletedProcess[str]:
    """In a fresh interpreter: the hub's client reads its environment when it is imported."""
    drop = {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "SAFR_STUDY_DATA", "HF_TOKEN"}
    environment = {name: value for name, value in os.environ.items() if name not in drop}
    environment |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **extra,
    }
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", program, name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=home.parent,
    )


def _dead_endpoint() -> str:
    """An address on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_hub_data_set_is_downloaded_and_then_answered_by_the_cache(
    hub: Hub, tmp_path: Path
) -> None:
    first = _load(REPOSITORY, hub.url, tmp_path / "home")
    assert (first.returncode, first.stderr) == (0, "")
    corpus = json.loads(first.stdout)
    assert corpus["source"] == "hub acme/reviews"
    assert corpus["class_names"] == ["bad", "good"]
    assert corpus["train"] == [[f"film {i}" for i in range(8)], [0, 1] * 4]
    assert corpus["dev"] == [["fine film", "poor film"], [1, 0]]
    assert f"GET /datasets/{REPOSITORY}/resolve/{COMMIT}/train.csv" in hub.requests

    hub.requests.clear()
    for extra in ({}, {"HF_HUB_OFFLINE": "1"}):
        again = _load(REPOSITORY, hub.url, tmp_path / "home", **extra)
        assert (again.returncode, again.stderr) == (0, "")
        cached = json.loads(again.stdout)
        assert cached["source"] == "Hugging Face cache of acme/reviews"
        assert cached == {**corpus, "source": cached["source"]}
    assert hub.requests == []


def test_without_cache_and_hub_one_sentence_says_what_was_tried(tmp_path: Path) -> None:
    endpoint = _dead_endpoint()
    ended = _load(REPOSITORY, endpoint, tmp_path / "home")
    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(
        "error: dataset: acme/reviews was not found: SAFR_STUDY_DATA is not set, "
        f"the Hugging Face cache has no copy, and the hub {endpoint} failed: "
    )
    assert "SAFR_STUDY_DATA/acme/reviews/<split>.parquet" in ended.stderr


def test_a_hub_that_knows_no_such_data_set_is_bad_input(hub: Hub, tmp_path: Path) -> None:
    ended = _load("acme/misspelt", hub.url, tmp_path / "home")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: dataset: no data set 'acme/misspelt'")
    assert ended.stderr.count("\n") == 1


def test_an_encoder_of_the_hub_is_found_and_answered_by_the_cache_when_the_hub_is_away(
    tmp_path: Path,
) -> None:
    folder = tiny_encoder("bert", tmp_path / "bert")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with running_hub({"models/acme/tiny": Repository(files)}) as hub:
        asked = ("acme/tiny", hub.url, tmp_path / "home")
        first = _load(*asked, program=ENCODER)
        pinned = f"acme/tiny@{COMMIT}"
        assert (first.returncode, first.stderr) == (0, "")
        assert json.loads(first.stdout) == [pinned, read_encoder(folder).sha256]
        assert f"GET /acme/tiny/resolve/{COMMIT}/model.safetensors" in hub.requests
    again = _load(*asked, program=ENCODER)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
