"""The objects of a JSON file, one after the other: a list of them, or lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from safr_study.errors import BadInput
from safr_study.text import first_line

_BLOCK = 1 << 16
_SPACE = " \t\r\n\ufeff"


def json_rows(path: Path, most: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of each object, from 0, as soon as it is whole; strings stay as they are.

    Args:
        path: a list of objects, or objects with white space between them.
        most: characters of an object.

    Raises:
        BadInput: a row is no whole object, or has a key twice; it is named by its number.
    """
    with path.open("rb") as file:
        held = _Held(file)
        in_list = held.expect("[", needed=False)
        decoder, number = json.JSONDecoder(object_pairs_hook=_unique), 0
        if in_list and held.expect("]", needed=False):
            return
        while in_list or held.next():
            if held.next() != "{":
                raise _broken(number, None)
            yield number, _next_object(held, decoder, number, most)
            number += 1
            if in_list:
                if held.expect("]", needed=False):
                    return
                held.expect(",")


def _next_object(held: _Held, decoder: json.JSONDecoder, number: int, most: int) -> dict[str, Any]:
    while True:
        try:
            found, end = decoder.raw_decode(held.text)
        except (ValueError, RecursionError) as error:
            # Perhaps it only ends in a later block.
            if len(held.text) > most or not held.more():
                raise _broken(number, error) from error
            continue
        held.text = held.text[end:]
        if not isinstance(found, dict):
            raise _broken(number, None)
        return found


class _Held:
    """The part of a file's text that is not used up."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rest = b""
        self.text = ""
        self._size = _BLOCK

    def more(self) -> bool:
        """Read on, twice as much where one row wants more and more; whether there was anything."""
        self._size = 2 * self._size if len(self.text) > self._size else _BLOCK
        block = self._file.read(self._size)
        content = self._rest + block
        # A character may be cut in two: at most three bytes of it are kept.
        cut = len(content)
        if block:
            while cut and len(content) - cut < 3 and content[cut - 1] & 0xC0 == 0x80:
                cut -= 1
            if cut and content[cut - 1] >= 0xC0:
                cut -= 1
            else:
                cut = len(content)
        self._rest = content[cut:]
        self.text += content[:cut].decode("utf-8", "surrogateescape")
        return bool(content)

    def next(self) -> str:
        """The next sign that is no white space, nor the mark of UTF-8; empty at the end."""
        while not (text := self.text.lstrip(_SPACE)) and self.more():
            pass
        self.text = text
        return text[:1]

    def expect(self, sign: str, *, needed: bool = True) -> bool:
        """Go beyond a sign; whether it was there."""
        if self.next() == sign:
            self.text = self.text[1:]
            return True
        if needed:
            raise BadInput("file", f"is no whole list of objects: {sign!r} is missing; mend it")
        return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found


def _broken(number: int, error: BaseException | None) -> BadInput:
    why = "" if error is None else f" ({first_line(error)})"
    return BadInput("file", f"row {number} is no whole JSON object{why}; mend it")
