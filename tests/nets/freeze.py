"""Freeze anew what the code of this checkout reads, prints and draws.

``PYTHONPATH=tests python -m nets.freeze outputs`` when a command is meant to print something else
than before: look at the difference in git, and say in the commit which numbers changed and why. A
difference that nobody meant is a fault of the new code, never of what is frozen.

``... draws`` when a sampler is meant to draw otherwise (a new version of Optuna may): the studies
are recorded anew, and what they draw. The outputs show these studies too: freeze both.

``... homes`` makes the old homes anew, three minutes of studies that are killed. Homes of newer
code say nothing about old ones: use it only to add a home beside them, or when homes of this age
are no longer to be read, and say so in the changelog. The outputs are of these homes, and are to be
frozen again after it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import nets.paper
from nets.cases import CASES, FROZEN, HOMES, outputs
from nets.draws import DRAWS, SAMPLERS, next_draws
from nets.make_draws import make_draws
from nets.make_homes import make_homes
from nets.old_home import unpacked


def freeze_outputs(folder: Path) -> None:
    """Run every command and keep what it writes."""
    homes = {name: unpacked(name, folder) for name in HOMES}
    FROZEN.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        for name, text in outputs(case, homes).items():
            (FROZEN / name).write_text(text, "utf-8")


def freeze_paper(folder: Path) -> None:
    """Keep the keys of the stand-in, and what the paper's tables say besides their files."""
    os.environ["SAFR_STUDY_DATA"] = str(folder / "data")
    for name in ("empty", "lines"):
        (folder / name).mkdir()
    nets.paper.write_stand_in(folder / "data")
    keys = nets.paper.stand_in_keys(folder / "empty", folder / "home")
    nets.paper.KEYS.write_text(json.dumps(keys, indent=1) + "\n", "utf-8")
    nets.paper.write_lines(folder / "lines", keys)
    for name in nets.paper.COMMANDS:
        for file, text in nets.paper.shown(name, folder / "lines", folder / "home").items():
            nets.paper.SHOWN.mkdir(parents=True, exist_ok=True)
            (nets.paper.SHOWN / file).write_text(text, "utf-8")


def freeze_draws(folder: Path) -> None:
    """Keep what each sampler draws on the recorded studies."""
    recorded = unpacked("draws", folder)
    drawn = {name: next_draws(recorded, name, folder / "cut") for name in SAMPLERS}
    lines = (f"{json.dumps(name)}: {_listed(asks)}" for name, asks in drawn.items())
    DRAWS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def main() -> None:
    """Freeze what was asked for."""
    what = sys.argv[1:]
    if not what or set(what) - {"outputs", "draws", "homes"}:
        raise SystemExit(__doc__)
    if "homes" in what:
        make_homes()
    if "draws" in what:
        make_draws()
    for name, freeze in (
        ("draws", freeze_draws),
        ("outputs", freeze_outputs),
        ("outputs", freeze_paper),
    ):
        if name in what:
            with tempfile.TemporaryDirectory() as folder:
                freeze(Path(folder))


def _listed(asks: list[dict[str, object]]) -> str:
    return "[\n" + ",\n".join(json.dumps(one) for one in asks) + "\n]"


if __name__ == "__main__":
    main()
