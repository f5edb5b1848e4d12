"""Whether the disk holds what is about to be written."""

from __future__ import annotations

import shutil

from safr_study.errors import BadInput
from safr_study.home import Home

RESERVE_BYTES = 200_000_000
"""Left for the ledger, the tracking database and logs."""


def free_space_check(home: Home, needed_bytes: float) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        home: on that disk.
        needed_bytes: that are still to be written, for example ``Cost.disk_bytes``.

    Raises:
        BadInput: there is less.
    """
    free = shutil.disk_usage(home.root).free
    needed = needed_bytes + RESERVE_BYTES
    if needed > free:
        raise BadInput(
            "home",
            f"about {needed / 1e9:.1f} GB are needed below {home.root}, where {free / 1e9:.1f} GB "
            "are free; free some (safr-study clean), choose another disk with --home, or ask for "
            "fewer trials",
        )
