"""Random and mangled input: whatever comes, it is taken, or refused with one of our sentences."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bad_input import FUZZED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_study import complete_trial
from tiny_model import save_tiny_model

from safr_study.checkpoint.model_files import load_model
from safr_study.data import encode_corpus, load_corpus
from safr_study.errors import BadInput, BadInputs, CorruptCheckpoint, SafrError, one_line
from safr_study.records import RegisteredModel
from safr_study.settings import CorpusSpec, SearchSpace
from safr_study.settings.space import TUNABLE
from safr_study.settings.space_files import parse_space
from safr_study.tracking.pull import _registered_digests

EXAMPLES = int(os.environ.get("SAFR_FUZZ_EXAMPLES", "40"))
"""Of each fuzzer; the same ones in every run."""
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def taken(name: str, action: Callable[[], object], *refusals: type[SafrError]) -> bool:
    """Whether an input was taken; a refusal is a sentence of the given kind."""
    FUZZED[name] = FUZZED.get(name, 0) + 1
    try:
        action()
    except refusals as error:
        said = one_line(str(error))
        assert said.isprintable()
        assert ": " in said
        return False
    return True


# Search spaces

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
number = st.integers(-3, 12) | st.floats(-2, 12) | st.sampled_from(["1e-4", True, None, "x"])
parameter = st.fixed_dictionaries(
    {"type": st.sampled_from(["float", "int", "categorical", "complex"])},
    optional={
        "low": number,
        "high": number,
        "log": st.booleans() | plain,
        "zero": number,
        "grid": st.lists(number, max_size=3),
        "choices": st.lists(number | plain, max_size=4),
        "when": st.dictionaries(st.sampled_from(TUNABLE), number, max_size=2),
    },
)
name = st.sampled_from(TUNABLE) | st.text(max_size=6)
space = st.fixed_dictionaries(
    {"name": st.text(min_size=1, max_size=8) | plain},
    optional={
        "parameters": st.dictionaries(name, parameter | plain, max_size=4) | plain,
        "fixed": st.dictionaries(name, number | plain, max_size=3) | plain,
        "points": st.lists(st.dictionaries(name, number, max_size=3), max_size=3) | plain,
        "constraints": st.lists(
            st.sampled_from(["accuracy >= 60", "srs@30 <= 1e999", "x", "accuracy >= majority + 5"])
            | plain,
            max_size=3,
        ),
        "baselines": st.lists(
            st.fixed_dictionaries({"name": plain, "values": st.dictionaries(name, number)}) | plain,
            max_size=2,
        ),
        "colour": plain,
    },
)


@fuzz
@given(space)
def test_a_space_of_any_values(values: dict[str, Any]) -> None:
    def check() -> None:
        made = SearchSpace.parse(values, where="x.yaml")
        # What is taken is written and read back equal.
        assert SearchSpace.parse(json.loads(made.model_dump_json()), where="again") == made

    taken("space of any values", check, BadInputs)


GOOD_SPACE = (
    "name: x\nparameters:\n"
    "  lambda_imp: {type: float, low: 1.0e-4, high: 10, log: true, zero: 0.2}\n"
    "  layers: &l {type: int, low: 1, high: 3}\n  dropout: {type: float, low: 0.0, high: 0.3, "
    "when: {layers: 3}}\nfixed: {learning_rate: 0.0002}\nconstraints: ['accuracy >= 60']\n"
)


def mangled(content: bytes) -> st.SearchStrategy[bytes]:
    """A good file with a piece cut out, put in, repeated, or changed."""

    def change(place: int, length: int, piece: bytes) -> bytes:
        at = place % (len(content) + 1)
        return content[:at] + piece + content[at + length :]

    pieces = st.binary(max_size=6) | st.sampled_from(
        [b"\0", b"\xff\xfe", b"\n", b"&a [*a]", b"!!python/name:os.system", b'"', b",", b"{" * 500]
    )
    return st.builds(change, st.integers(0, 10**6), st.integers(0, 40), pieces)


@fuzz
@given(
    mangled(GOOD_SPACE.encode())
    | st.binary(max_size=60)
    | plain.map(yaml.safe_dump).map(str.encode)
)
def test_a_space_file_of_any_bytes(content: bytes) -> None:
    with contextlib.suppress(UnicodeDecodeError):  # A sentence of the reader: see the table.
        text = content.decode()
        taken("space file", lambda: parse_space(text, where="x.yaml"), BadInput, BadInputs)


def test_the_space_that_is_mangled_is_good() -> None:
    assert parse_space(GOOD_SPACE, where="x").name == "x"


# Data

GOOD_CSV = "text,label\n" + "".join(f'"some words, {i}",{i % 2}\n' for i in range(12))
cell = st.text(st.characters(codec="utf-8"), max_size=12)
table = st.builds(
    lambda header, rows: "\n".join(",".join(row) for row in [header, *rows]).encode(),
    st.lists(st.sampled_from(["text", "label", "sentence", "x", ""]), max_size=4),
    st.lists(st.lists(cell, max_size=4), max_size=6),
)


@settings(fuzz, max_examples=max(1, EXAMPLES // 2))
@given(
    mangled(GOOD_CSV.encode()) | st.binary(max_size=60) | table,
    st.sampled_from([".csv", ".csv", ".tsv", ".jsonl", ".parquet"]),
)
def test_a_data_file_of_any_bytes(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(content)
    spec = CorpusSpec(dataset=str(path))
    taken("data file", lambda: encode_corpus(load_corpus(spec), spec), BadInput)


# Tags of a registry

digests = st.dictionaries(
    st.sampled_from(["model.safetensors", "config.json", "../x", "/etc/passwd", "a/b", ".x", "x\n"])
    | st.text(max_size=8),
    st.just("0" * 64) | st.text(max_size=8) | st.integers(),
    max_size=4,
)


@fuzz
@given(digests.map(json.dumps) | plain.map(json.dumps) | st.text(max_size=30), st.text(max_size=70))
def test_tags_of_any_kind(files: str, sha: str) -> None:
    model = RegisteredModel("safr-x", "1", (), {"safr.files": files, "sha256": sha}, "run")

    def check() -> None:
        for file in _registered_digests(model):
            # Whatever is taken is a plain name in the folder that is asked for.
            assert Path(file).name == file
            assert not file.startswith(".")
            assert file.isascii()
            assert file.isprintable()

    taken("tags of a registry", check, CorruptCheckpoint)


def test_good_tags_are_taken(tmp_path: Path) -> None:
    checkpoint = complete_trial(0, 80.0, 10.0, folder=tmp_path).checkpoint
    assert checkpoint is not None
    files = json.dumps({"model.safetensors": checkpoint.sha256})
    tags = {"safr.files": files, "sha256": checkpoint.sha256}
    assert _registered_digests(RegisteredModel("safr-x", "1", (), tags, "run"))


# Checkpoints


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("fuzzed") / "model")


@settings(fuzz, max_examples=2 * EXAMPLES)
@given(
    st.sampled_from(["weights.safetensors", "vocabulary.txt", "model.json"]),
    st.data(),
    st.booleans(),
)
def test_a_checkpoint_with_any_file_mangled(
    checkpoint: Path, tmp_path: Path, file: str, data: st.DataObject, honest: bool
) -> None:
    import hashlib

    good = (checkpoint / file).read_bytes()
    content = data.draw(mangled(good) | st.binary(max_size=40))
    folder = tmp_path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkpoint, folder)
    (folder / file).write_bytes(content)
    if honest and file != "model.json":
        # The checksum is that of the mangled file: the parsers have to cope by themselves.
        manifest = json.loads((folder / "model.json").read_text("utf-8"))
        key = "weights_sha256" if file.startswith("weights") else "vocabulary_sha256"
        manifest[key] = hashlib.sha256(content).hexdigest()
        (folder / "model.json").write_text(json.dumps(manifest), "utf-8")
    was_taken = taken("checkpoint", lambda: load_model(folder), CorruptCheckpoint)
    if was_taken and not honest and file != "model.json":
        assert content == good


@settings(fuzz, max_examples=EXAMPLES)
@given(plain)
def test_a_manifest_of_any_value(checkpoint: Path, tmp_path: Path, value: Any) -> None:
    folder = tmp_path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkpoint, folder)
    path = folder / "model.json"
    manifest = json.loads(path.read_text("utf-8"))
    for key in manifest:
        path.write_text(json.dumps({**manifest, key: value}), "utf-8")
        taken("manifest", lambda: load_model(folder), CorruptCheckpoint)
