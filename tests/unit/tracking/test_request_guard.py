from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from safr_study.tracking.request_guard import MOST_BYTES, RequestGuard, is_nested, is_own_host

Answer = tuple[int, bytes]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with what it was sent."""
    message = await receive()
    assert not message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def asked(*parts: bytes, host: str | None = "127.0.0.1:5001") -> Answer:
    headers = [] if host is None else [(b"host", host.encode())]
    scope = {"type": "http", "headers": headers}
    more = [{"type": "http.request", "body": one, "more_body": True} for one in parts[:-1]]
    waiting = iter([*more, {"type": "http.request", "body": parts[-1], "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(RequestGuard(echo)(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_a_request_is_handed_on_whole() -> None:
    body = json.dumps({"inputs": ["[" * 100, '\\"[[' * 50, "a {b} c"] * 9}).encode()
    assert asked(body) == (200, body)
    assert asked(body[:7], body[7:20], body[20:]) == (200, body)
    assert asked(b"no json }}}") == (200, b"no json }}}")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:5001", "[::1]"])
def test_it_answers_by_the_names_of_this_machine(host: str) -> None:
    assert is_own_host(host)
    assert asked(b"{}", host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:5001", "127.0.0.1.evil.example", "localhost.evil", "", None,
     "0.0.0.0", "127.0.0.1@evil", "[::2]", "localhost:1:2", "localhost:x"],
)  # fmt: skip
def test_a_foreign_host_is_refused_with_a_sentence(host: str | None) -> None:
    status, body = asked(b"{}", host=host)
    assert status == 403
    assert "127.0.0.1" in json.loads(body)["message"]


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"inputs": ' + b"[" * 50 + b"]" * 50 + b"}", b'{"a": ' * 5000, b"{" * 40],
)  # fmt: skip
def test_json_nested_without_end_is_refused_with_a_sentence(body: bytes) -> None:
    status, said = asked(body[:3], body[3:])
    assert (status, json.loads(said)["error_code"]) == (400, "BAD_REQUEST")
    assert "within one another" in json.loads(said)["message"]


def test_deep_enough_is_not_nested() -> None:
    assert not is_nested(b"[" * 32 + b"]" * 32)
    assert not is_nested(b"[]" * 1000)
    assert is_nested(b"[" * 33)


def test_a_request_without_end_is_refused() -> None:
    assert asked(bytes(MOST_BYTES), b"x")[0] == 413
