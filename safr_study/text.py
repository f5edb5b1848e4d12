"""Small pieces of text, each made in one place: numbers for people, and errors of libraries."""

from __future__ import annotations

from collections.abc import Sequence

from safr_study.redaction import redacted

Z95 = 1.959964
"""Standard errors on either side of a 95 % interval, by the normal distribution."""
_LONGEST = 300
"""Characters of an error that are shown."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message without secrets, at most 300 characters."""
    lines = str(error).strip().splitlines()
    return redacted(lines[0]).rstrip()[:_LONGEST] if lines else type(error).__name__


def summary(error: BaseException) -> str:
    """The whole message of an error in one line without secrets, at most 300 characters.

    Several lines of it may matter, as in the errors of Ray and torch.
    """
    return redacted(" ".join(str(error).split()))[:_LONGEST]


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """A number with its noun: ``1 run``, ``3 runs``."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """Names as a list in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def unit_words(unit: str, *, share: str = "", pure: str = "") -> str:
    """A metric's unit (``Metric.unit``) in words.

    Args:
        unit: ``points``, ``nats``, ``share``, or empty for a pure number.
        share: the words for a share, which often needs none.
        pure: the words for a pure number.
    """
    return {"points": "percentage points", "share": share, "": pure}.get(unit, unit)


def duration(seconds: float) -> str:
    """A time for people: ``under a second``, ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 1:
        return "under a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def about(seconds: float) -> str:
    """The same for an estimate: ``about 45 s``; below a second there is nothing to round."""
    return duration(seconds) if seconds < 1 else f"about {duration(seconds)}"


def size(count: float) -> str:
    """A number of bytes for people: ``512 B``, ``12 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
