"""What to do after a study: commands that can be copied as they are."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safr_study.text import has_secret, redacted_address

if TYPE_CHECKING:
    from safr_study.features.search.search import SearchOutcome
    from safr_study.features.study_base.stores import Stores

ROLES = ("knee", "best-accuracy", "best-srs")
"""Plain aliases, the most useful first."""


def sync_command(study: str, stores: Stores, home: Path | None) -> list[str]:
    """What brings a study to the tracking server that it was meant for, without a password."""
    # Without --tracking-uri: the ledger knows it, but for a database, which needs its password.
    uri = stores.tracking_uri
    at_home = ["--home", str(home)] if home is not None else []
    ledger = _option("--storage", stores.storage_url)
    database = uri is not None and not uri.startswith("http")
    tracked = _option("--tracking-uri", uri if database else None)
    return ["safr-study", "sync", study, *at_home, *ledger, *tracked]


def next_commands(outcome: SearchOutcome, stores: Stores, home: Path | None) -> Iterator[list[str]]:
    """What shows and uses what a search found."""
    program = called_as()
    at_home = ["--home", str(home)] if home is not None else []
    ledger = _option("--storage", stores.storage_url)
    tracked = _option("--tracking-uri", stores.tracking_uri)
    yield [*program, "pareto", outcome.result.name, "--out", "figures", *at_home, *ledger]
    # All of these point to models of this study.
    aliases = {alias: model for model in outcome.models for alias in model.aliases}
    for role in ROLES:
        found = sorted((a for a in aliases if a == role or a.endswith(f"-{role}")), key=len)
        if found:
            reference = f"{aliases[found[0]].name}@{found[0]}"
            yield [*program, "pull", reference, "--to", "model", *at_home, *tracked]
            yield [*program, "evaluate", "model", *at_home]
            break
    if not tracked:
        yield [*program, "ui", *at_home]


def called_as() -> list[str]:
    """This program's name, or how it was called, where the shell does not find it by name."""
    if shutil.which("safr-study"):
        return ["safr-study"]
    if Path(sys.argv[0]).name == "__main__.py":
        return [sys.orig_argv[0], "-m", "safr_study"]
    return [sys.argv[0]]


def secret_hint(stores: Stores) -> str | None:
    """Where the secrets belong that the commands above lack; ``None``: they lack none."""
    places = []
    if stores.storage_url is not None and has_secret(stores.storage_url):
        places.append("the ledger's password in PGPASSWORD or a file of PGPASSFILE")
    if stores.tracking_uri is not None and has_secret(stores.tracking_uri):
        places.append(
            "MLflow's in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or in "
            "MLFLOW_TRACKING_TOKEN"
        )
    return f"Addresses are shown without secrets: give {'; '.join(places)}." if places else None


def _option(name: str, address: str | None) -> list[str]:
    """An option with its address, which shows no secret."""
    return [] if address is None else [name, redacted_address(address)]
