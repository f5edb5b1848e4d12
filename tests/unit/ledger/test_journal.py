from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.storages.journal import JournalFileBackend

from safr_study.ledger.storage import JournalFile

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=6)


def all_of(backend: JournalFile | JournalFileBackend, first: int = 0) -> list[dict[str, Any]]:
    return list(backend.read_logs(first))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ours=RECORDS, theirs=RECORDS)
def test_optuna_reads_what_it_writes_and_the_other_way_round(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "j"
    path.unlink(missing_ok=True)
    journal, optunas = JournalFile(path), JournalFileBackend(str(path))
    journal.append_logs(ours)
    optunas.append_logs(theirs)
    written = ours + theirs
    # To the last bit of a float, and on from any record, in any order of asking. An empty list of
    # Optuna's leaves an empty line, at which both end.
    assert all_of(journal) == all_of(optunas) == (written if theirs else ours)
    for first in (len(ours), 0, 1):
        assert all_of(journal, first) == all_of(JournalFileBackend(str(path)), first)


def test_what_another_process_adds_is_read_the_next_time(tmp_path: Path) -> None:
    mine, other = JournalFile(tmp_path / "j"), JournalFile(tmp_path / "j")
    mine.append_logs([{"a": 1}])
    assert all_of(mine) == [{"a": 1}]
    other.append_logs([{"b": 2}, {"c": 3}])
    assert all_of(mine, 1) == [{"b": 2}, {"c": 3}]
    assert all_of(mine, 3) == []


def test_a_line_that_is_not_whole_yet_waits(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = JournalFile(path)
    with path.open("ab") as file:
        file.write(b'{"a": 1}\n{"b"')
        file.flush()
        assert all_of(journal) == [{"a": 1}]
        file.write(b": 2}\n")
        file.flush()
        assert all_of(journal, 1) == [{"b": 2}]


@pytest.mark.parametrize("broken", [b"nonsense\n", b'{"a": \n', b"\n"])
def test_a_broken_line_before_the_last_is_refused(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"a": 1}\n' + broken + b'{"b": 2}\n')
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        all_of(JournalFile(path))


def test_an_argument_that_is_no_text_is_read(tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "j")
    record = {"command": ["--dataset", os.fsdecode(b"caf\xe9.csv")]}
    journal.append_logs([record])
    assert all_of(journal) == [record]


def test_a_write_that_fails_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j"
    journal = JournalFile(path)
    journal.append_logs([{"a": 1}])
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        # As a full disk does: a part of the line is there.
        os.truncate(path, len(before) + 3)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.append_logs([{"b": 2}])
    assert path.read_bytes() == before
    # And the lock is free again.
    journal.append_logs([{"c": 3}])
    assert all_of(journal) == [{"a": 1}, {"c": 3}]
