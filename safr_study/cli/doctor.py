"""``doctor``: is everything there that a study needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from safr_study.cli import options, output
from safr_study.cli.options import option
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.study_base.stores import open_stores

if TYPE_CHECKING:
    from safr_study.features.doctor import Check

_MARKS = {"ok": "ok", "warning": "look", "failed": "wrong"}
_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


def doctor(
    quiet: Annotated[bool, option("Only what is not in order.", "--quiet")] = False,
    json: options.Json = False,
    home: options.Home = None,
    tracking_uri: options.Tracking = None,
    storage: options.Storage = None,
    address: options.Address = None,
) -> None:
    """Check machine, versions, home, disk, ledger, tracking, Ray, hub and data; say what to do.

    Exit codes: 0 a study can run; 2 something here has to be mended first; 4 a service that was
    named, by an option or a variable, does not answer.

    Examples:

      safr-study doctor

      safr-study doctor --tracking-uri http://mlflow:5000 --address ray-head:6379

      safr-study doctor --json | jq '.checks[] | select(.state != "ok")'
    """
    from safr_study.features.doctor import diagnose
    from safr_study.records import to_plain

    stores = open_stores(
        home, tracking_uri=tracking_uri, storage=storage, address=address, reads=home is None
    )
    checks = []
    for check in diagnose(stores):
        checks.append(check)
        if not json and not (quiet and check.state == "ok"):
            _show(check)
    if json:
        output.print_json({"ok": _is_well(checks), "checks": to_plain(checks)})
    elif _is_well(checks) and not quiet:
        output.out().print("A study can run: safr-study search --dataset planted")
    dead = [check.name for check in checks if check.unreachable]
    if dead:
        raise ServiceUnreachable(f"doctor: no answer from {', '.join(dead)}; see the advice there")
    if not _is_well(checks):
        wrong = [check.name for check in checks if check.state == "failed"]
        raise BadInput("doctor", f"{', '.join(wrong)} must be mended before a study can run")


def _show(check: Check) -> None:
    """One line for each, as they come: some take seconds."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = output.out()
    table = Table.grid(padding=0)
    table.add_column(width=12, no_wrap=True)
    table.add_column(width=7, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(check.name, Text(_MARKS[check.state], style=_STYLES[check.state]), check.found)
    console.print(table)
    if check.advice:
        console.print(Padding(Text(f"{check.advice}"), (0, 0, 0, 19)))


def _is_well(checks: list[Check]) -> bool:
    return all(check.state != "failed" for check in checks)
