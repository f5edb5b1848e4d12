"""``sync``: bring to MLflow what it lacks of a study."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from safr_study.cli import output
from safr_study.cli.options import (
    AnyStudyArgument,
    HomeOption,
    JsonOption,
    StorageOption,
    TrackingOption,
    open_stores,
)
from safr_study.errors import ServiceUnreachable

if TYPE_CHECKING:
    from safr_study.features.sync import Synced


def sync(
    study: AnyStudyArgument = None,
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
    storage: StorageOption = None,
) -> None:
    """Bring to MLflow what it lacks of a study: runs, metrics, files and models.

    All of it is made from the study's ledger, also when the process that ran the study is gone.
    What is there already is not written again. Without a name: every study of which MLflow lacks
    something. Without an address: where the study was tracked.

    Exit codes: 0 MLflow has everything; 2 no such study, or somebody runs it; 4 the server does not
    take it.

    Examples:

      safr-study sync s1

      safr-study sync --tracking-uri http://mlflow:5000
    """
    from safr_study.features.sync import sync_study, unsynced
    from safr_study.records import to_plain

    stores = open_stores(home, tracking_uri=tracking_uri, storage=storage, reads=True)
    names = [study] if study is not None else unsynced(stores)
    found = [sync_study(name, stores) for name in names]
    if json:
        output.print_json({"studies": to_plain(found)})
    else:
        for one in found:
            output.out().print(_sentence(one), soft_wrap=True)
        if not found:
            output.out().print("MLflow has everything of every study here.")
    missing = [one.missing for one in found if one.missing is not None]
    if missing:
        again = shlex.join(["safr-study", "sync", *([study] if study else [])])
        raise ServiceUnreachable(f"{'; '.join(missing)}; try again: {again}")


def _sentence(found: Synced) -> str:
    if found.missing is not None:
        return f"Study {found.study}: {found.to} still lacks something of it."
    written = f"{found.points} metric points written" if found.points else "nothing was missing"
    count = len(found.models)
    models = f"; its front is registered, {count} model{'' if count == 1 else 's'}" if count else ""
    return (
        f"Study {found.study}: all of its {found.runs} runs are in {found.to}, {written}{models}."
    )
