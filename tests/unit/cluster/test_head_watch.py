from __future__ import annotations

import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from safr_study.cluster import head_watch as head
from safr_study.cluster.head_watch import HeadWatch
from safr_study.errors import ServiceUnreachable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(head, "time", made)
    return made


def watch_on(monkeypatch: pytest.MonkeyPatch, address: str) -> HeadWatch:
    context: Any = SimpleNamespace(gcs_address=address)
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)
    return HeadWatch(ServiceUnreachable("cluster: gone"))


def test_a_head_is_gone_once_it_has_not_answered_for_a_while(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        watch = watch_on(monkeypatch, address)
        for _ in range(20):
            clock.now += 6
            assert not watch.look()
    answers = []
    for _ in range(5):
        clock.now += 6
        answers.append(watch.look())
    # It was away for 6, 12 and 18 s before that.
    assert answers == [False, False, False, True, True]


def test_a_head_that_comes_back_is_not_gone(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    answering = iter([True, False, False, True, False, False, False])
    monkeypatch.setattr(head, "_answers", lambda _address: next(answering))
    watch = watch_on(monkeypatch, "head:6379")
    seen = []
    for _ in range(7):
        clock.now += 8
        seen.append(watch.look())
    assert seen == [False] * 6 + [True]


def test_it_is_not_asked_at_each_turn(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    asked: list[str] = []
    monkeypatch.setattr(head, "_answers", lambda address: asked.append(address) is None)
    watch = watch_on(monkeypatch, "head:6379")
    for _ in range(100):
        clock.now += 0.1
        assert not watch.look()
    assert asked == ["head:6379"]


BLOCKED_DRIVER = """
import threading
from types import SimpleNamespace
import ray
from safr_study.cluster import head_watch
from safr_study.errors import ServiceUnreachable
ray.get_runtime_context = lambda: SimpleNamespace(gcs_address="head:6379")
head_watch._killed_here = lambda: True
head_watch._BLOCKED_SECONDS = 0.1
watch = head_watch.HeadWatch(ServiceUnreachable("cluster: the head was killed"))
with watch.watching():
    threading.Event().wait(60)
    print("went on")
"""


def test_a_driver_that_waits_for_the_dead_head_is_ended_with_the_sentence_and_its_code() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BLOCKED_DRIVER], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr == "error: cluster: the head was killed\n"


def test_a_driver_that_has_seen_it_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_killed_here", lambda: True)
    monkeypatch.setattr(head, "_end_process", lambda _error: pytest.fail("ended from outside"))
    watch = watch_on(monkeypatch, "head:6379")
    with watch.watching():
        assert watch.is_gone()
