"""How long a study waits at its end for a tracking server."""

from __future__ import annotations

import os
from contextlib import suppress

PATIENCE_VARIABLE = "SAFR_STUDY_TRACKING_PATIENCE"
PATIENCE_SECONDS = 60.0
"""At a study's end: so long without any success, and the server is given up; the variable is
another number of seconds."""
LIMIT_SECONDS = 600.0
"""At a study's end, in all, for a server that is slow but takes what it gets."""
INTERRUPTED_SECONDS = 15.0
"""The patience of a study that was interrupted: somebody waits for the end."""


def server_patience() -> float:
    """Seconds without any success."""
    with suppress(ValueError):
        seconds = float(os.environ.get(PATIENCE_VARIABLE, ""))
        if seconds >= 0:
            return seconds
    return PATIENCE_SECONDS
