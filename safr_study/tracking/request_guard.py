"""What a model's server refuses before MLflow's own application sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from safr_study.loopback import LOOPBACK_NAMES

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

MOST_DEPTH = 32
"""Lists and objects within one another; a request has three."""
MOST_BYTES = 64_000_000
"""Size of a request: 60 texts of the longest kind."""
_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(?::\d+)?")
_SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


class RequestGuard:
    """An ASGI application before another one.

    It answers to the names of this machine alone: a page of another origin, whose name was made to
    point here, would otherwise ask the model. JSON nested without end, which MLflow's parser does
    not survive, is refused with a sentence.
    """

    def __init__(self, application: Application) -> None:
        """Guard ``application``."""
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on whole."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if not is_own_host(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            await _refuse(send, 403, "PERMISSION_DENIED", "ask by 127.0.0.1 or localhost")
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if len(body) > MOST_BYTES:
                await _refuse(
                    send, 413, "BAD_REQUEST", f"more than {MOST_BYTES:,} bytes; ask twice"
                )
                return
            if not message.get("more_body", False):
                break
        if is_nested(body):
            sentence = f"more than {MOST_DEPTH} lists or objects within one another"
            await _refuse(send, 400, "BAD_REQUEST", f'{sentence}; send {{"inputs": ["a text"]}}')
            return
        whole = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def again() -> Message:
            return next(whole, None) or await receive()

        await self._application(scope, again, send)


def is_own_host(header: str) -> bool:
    """Whether a request's header ``Host`` names this machine, with any port."""
    found = _HOST.fullmatch(header.strip().lower())
    return found is not None and found["name"].strip("[]") in LOOPBACK_NAMES


def is_nested(body: bytes) -> bool:
    """Whether lists and objects of JSON are within one another beyond `MOST_DEPTH`."""
    depth = 0
    for sign in _SIGNS.finditer(body):
        first = sign.group()[:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MOST_DEPTH:
            return True
    return False


async def _refuse(send: Send, status: int, code: str, sentence: str) -> None:
    body = json.dumps({"error_code": code, "message": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
