"""Whether the hub of data sets answers, asked without the libraries that read from it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from dataclasses import dataclass

_SECONDS = 5.0
_HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """Whether the hub of data sets can be asked."""

    endpoint: str
    chosen: bool
    """Whether the user named it by ``HF_ENDPOINT``."""
    offline: str = ""
    """The variable that switches it off; empty: none does."""
    problem: str | None = None
    """Why it does not answer; ``None``: it does, or was not asked."""


def hub_answers() -> HubAnswer:
    """Knock at the hub; anything that it says is an answer."""
    chosen = os.environ.get("HF_ENDPOINT")
    endpoint = (chosen or _HUB).rstrip("/")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        if os.environ.get(name, "").lower() in ("1", "true", "yes", "on"):
            return HubAnswer(endpoint, bool(chosen), offline=name)
    try:
        urllib.request.urlopen(f"{endpoint}/api/datasets?limit=1", timeout=_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError) as error:
        return HubAnswer(endpoint, bool(chosen), problem=str(getattr(error, "reason", error)))
    return HubAnswer(endpoint, bool(chosen))
