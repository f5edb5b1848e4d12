from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import random
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import save_tiny_model

from safr_study.checkpoint.pickles import refuse_pickles
from safr_study.errors import CorruptCheckpoint


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


def torch_zip(*, entry: str = "") -> bytes:
    buffer = io.BytesIO()
    if not entry:
        torch.save({"a": torch.zeros(2)}, buffer)
        return buffer.getvalue()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(entry, pickle.dumps(Trap()))
    return buffer.getvalue()


FORMS: dict[str, bytes] = {
    **{f"protocol {n}": pickle.dumps(Trap(), n) for n in range(6)},
    **{f"protocol {n}, of numbers": pickle.dumps({"a": [1, 2.5, "x"]}, n) for n in range(6)},
    **{f"protocol {n} after a line": b"#!text\n" + pickle.dumps(Trap(), n) for n in range(6)},
    **{f"protocol {n}, and more": pickle.dumps(Trap(), n) + b"\n\x00more" for n in range(6)},
    "an old instance": b"(S'run'\nibuiltins\nprint\n.",
    "gzip": gzip.compress(pickle.dumps(Trap(), 0)),
    "gzip in gzip": gzip.compress(gzip.compress(pickle.dumps(Trap(), 2))),
    "bz2": bz2.compress(pickle.dumps(Trap(), 1)),
    "xz": lzma.compress(pickle.dumps(Trap())),
    "zlib": zlib.compress(pickle.dumps(Trap())),
    "torch": torch_zip(),
    "torch after a line": b"#!text\n" + torch_zip(),
    "torch in gzip": gzip.compress(torch_zip()),
    "an archive with another name": torch_zip(entry="data.txt"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_pickle_in_any_form_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes").write_bytes(FORMS[name])
    with pytest.raises(CorruptCheckpoint, match=r"notes in .* is a pickle or holds one"):
        refuse_pickles(tmp_path)


def test_a_model_and_ordinary_texts_are_none(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    draw = random.Random(0)
    signs = "abcdefghijklmnopqrstuvwxyz().'-0123"
    words = ("".join(draw.choices(signs, k=draw.randint(1, 9))) for _ in range(50_000))
    (tmp_path / "words.txt").write_text("\n".join(words), "utf-8")
    (tmp_path / "numbers").write_bytes(draw.randbytes(500_000))
    (tmp_path / "MLmodel").write_text("artifact_path: x\ncode:\n  a: b\n", "utf-8")
    for number, text in enumerate(["", ".", "N.", "N.B. (see there)", "I\n.", "(", "]. and more"]):
        (tmp_path / f"{number}.txt").write_text(text, "utf-8")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.txt", "text")
    (tmp_path / "texts.zip").write_bytes(packed.getvalue())
    refuse_pickles(tmp_path)
