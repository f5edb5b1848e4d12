from __future__ import annotations

import threading

import pytest

from safr_study.tracking import writer as writer_module
from safr_study.tracking.writer import BackgroundWriter, Backlog


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_FIRST_DELAY", 0.01)
    monkeypatch.setattr(writer_module, "_CLOSING_DELAY", 0.01)


class Server:
    """Takes items, after as many failures as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.open = threading.Event()
        self.asked = threading.Event()
        self.taken: list[tuple[int, str]] = []

    def take(self, key: int, item: str) -> None:
        self.asked.set()
        assert self.open.wait(30)
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append((key, item))


def test_offering_does_not_wait_and_only_the_newest_state_is_written() -> None:
    server = Server()
    writer = BackgroundWriter(server.take, _joined)
    writer.offer(5, "first")
    assert server.asked.wait(30)
    for item in ("a", "b", "c"):
        writer.offer(2, item)
        writer.offer(1, item)
    server.open.set()
    assert writer.finish(30, 30) is None
    assert server.taken == [(5, "first"), (1, "abc"), (2, "abc")]


def test_after_an_outage_the_failed_item_joins_the_newer_one() -> None:
    server = Server(OSError("no route"), OSError("no route"))
    writer = BackgroundWriter(server.take, _joined)
    writer.offer(1, "old ")
    assert server.asked.wait(30)
    writer.offer(1, "new")
    server.open.set()
    assert writer.finish(30, 30) is None
    assert server.taken == [(1, "old new")]


def test_a_refused_item_is_told_and_not_tried_again() -> None:
    server = Server(ValueError("never\nmore"))
    server.open.set()
    writer = BackgroundWriter(server.take, _joined)
    writer.offer(1, "bad")
    writer.offer(2, "good")
    assert writer.finish(30, 30) == Backlog((), None, ("never",))
    assert server.taken == [(2, "good")]


def test_the_end_does_not_wait_for_ever() -> None:
    server = Server(*[OSError("down")] * 100_000)
    server.open.set()
    writer = BackgroundWriter(server.take, _joined)
    writer.offer(1, "a")
    writer.offer(2, "b")
    assert writer.finish(0.1, 30) == Backlog((1, 2), "down", ())
    assert server.taken == []


def test_a_call_that_hangs_counts_as_not_written() -> None:
    server = Server()
    writer = BackgroundWriter(server.take, _joined)
    writer.offer(1, "a")
    assert server.asked.wait(30)
    left = writer.finish(0.05, 30)
    server.open.set()
    assert left == Backlog((1,), None, ())


def test_the_limit_ends_what_patience_does_not() -> None:
    server = Server()
    server.open.set()
    writer: BackgroundWriter[str] = BackgroundWriter(lambda *_: slowly.wait(30), _joined)
    slowly = threading.Event()
    writer.offer(1, "a")
    assert writer.finish(30, 0.05) == Backlog((1,), None, ())
    slowly.set()


def test_an_item_that_always_fails_does_not_keep_the_others_from_being_written() -> None:
    taken: list[int] = []
    all_taken = threading.Event()

    def take(key: int, item: str) -> None:
        if key == 1:
            raise OSError("poisoned")
        taken.append(key)
        if len(taken) == 2:
            all_taken.set()

    writer = BackgroundWriter(take, _joined)
    for key in (1, 2, 3):
        writer.offer(key, "x")
    assert all_taken.wait(30)
    assert writer.finish(0.05, 30) == Backlog((1,), "poisoned", ())
    assert taken == [2, 3]


def _joined(older: str, newer: str) -> str:
    return older + newer
