"""The machine itself as a network address, to which no proxy of the environment is a way."""

from __future__ import annotations

import os

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = (LOOPBACK, "localhost", "::1")
_SPARED = ("no_proxy", "NO_PROXY")


def spare_loopback() -> None:
    """Have every HTTP client of this process and its children reach this machine directly.

    A proxy would ask its own machine. What is spared already stays so.
    """
    if not any(name.lower().endswith("_proxy") and os.environ[name] for name in os.environ):
        return
    spared = next((found for name in _SPARED if (found := os.environ.get(name))), "")
    known = [part.strip() for part in spared.split(",") if part.strip()]
    if "*" not in known:
        known += [name for name in LOOPBACK_NAMES if name not in known]
        os.environ.update(dict.fromkeys(_SPARED, ",".join(known)))
