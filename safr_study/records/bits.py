"""Right answers, text by text, as short strings of plain text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_DRAWS = 35
"""Random deletions whose number of right answers one base-36 character can hold."""

Right = NDArray[np.bool_]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HEX = frozenset("0123456789abcdef")


def pack_bits(right: Right) -> str:
    """`[N]` as hexadecimal digits of `numpy.packbits`.

    The first text is the highest bit, the rest of the last byte is 0.
    """
    return np.packbits(right).tobytes().hex()


def unpack_bits(digits: str, count: int) -> Right:
    """`[N]`, the inverse of `pack_bits`."""
    packed = np.frombuffer(bytes.fromhex(digits), dtype=np.uint8)
    return np.unpackbits(packed, count=count).astype(bool)


def are_bits(digits: str, count: int) -> bool:
    """Whether these are the packed bits of so many texts."""
    return len(digits) == 2 * -(-count // 8) and set(digits) <= _HEX


def pack_counts(right: Right) -> str:
    """One base-36 digit per text: in how many of the draws `[B, N]` it was right.

    Raises:
        ValueError: there are more than `MAX_DRAWS` draws.
    """
    if len(right) > MAX_DRAWS:
        raise ValueError(f"{len(right)} draws do not fit one base-36 digit")
    return "".join(_DIGITS[count] for count in right.sum(axis=0).tolist())


def unpack_counts(digits: str) -> NDArray[np.int64]:
    """`[N]`, the inverse of `pack_counts`: right answers of each text."""
    codes = np.frombuffer(digits.encode("ascii"), dtype=np.uint8).astype(np.int64)
    counts: NDArray[np.int64] = np.where(codes >= ord("a"), codes - ord("a") + 10, codes - ord("0"))
    return counts


def are_counts(digits: str, count: int, draws: int = MAX_DRAWS) -> bool:
    """Whether these are the packed counts of so many texts and at most so many draws."""
    return len(digits) == count and set(digits) <= set(_DIGITS[: draws + 1])
