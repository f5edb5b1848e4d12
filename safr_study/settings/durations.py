"""Spans of time as people write them."""

from __future__ import annotations

import math
import re

from safr_study.errors import BadInput

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``2h``, ``1.5d`` or a plain number of seconds.

    Raises:
        BadInput: anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip().lower())
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < seconds < math.inf:
        raise BadInput("time-budget", f"{text!r} is no time; write for example 90s, 15m, 2h or 1d")
    return seconds
