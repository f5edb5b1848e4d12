"""Where a study's services are: embedded in the home, or servers by their addresses."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from safr_study.home import Home
from safr_study.ledger.address import LedgerAddress


@dataclass(frozen=True, slots=True)
class Stores:
    """The home and the services that replace its embedded ones."""

    home: Home
    tracking_uri: str | None = field(default=None, repr=False)
    """MLflow; ``None``: SQLite in the home."""
    storage_url: str | None = field(default=None, repr=False)
    """Ledger; ``None``: a journal file in the home."""
    address: str | None = None
    """Ray; ``None``: a cluster on this machine for the time of the study."""
    checkpoints_url: str | None = None
    """URL below which a new study has its checkpoints; ``None``: in the home."""


def stores(
    home: Home,
    *,
    tracking_uri: str | None = None,
    storage_url: str | None = None,
    address: str | None = None,
    checkpoints_url: str | None = None,
) -> Stores:
    """The stores of these options; ``MLFLOW_TRACKING_URI`` stands in for a missing one.

    Raises:
        BadInput: the ledger's URL is none.
    """
    LedgerAddress.parse(storage_url)
    return Stores(
        home=home,
        tracking_uri=tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or None,
        storage_url=storage_url,
        address=address,
        checkpoints_url=checkpoints_url,
    )
