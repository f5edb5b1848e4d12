"""Make the old homes anew: real studies by the command line, some of them killed with SIGKILL."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / name) for name in ("integration", "drill")]

from commands import command_line, environment, safr
from processes import of_session, wait_for_end

from nets.old_home import KILLED_TRIAL, OLD_SPACE, SPACE, packed

REPOSITORY = Path(__file__).parents[2]
LIMITS = ("--train-limit", "400", "--dev-limit", "120", "--sampler", "random")
SEARCH = ("search", "--dataset", "planted", "--space", str(SPACE), *LIMITS)
DONE = (*SEARCH, "--study", "done", "--trials", "7", "--epochs", "4", "--seed", "5")
OTHER = (*SEARCH, "--study", "other", "--trials", "4", "--epochs", "3", "--seed", "9")
HALF = (
    *(*SEARCH, "--study", "half", "--trials", "6", "--epochs", "40", "--seed", "3"),
    *("--scheduler", "none", "--max-concurrent", "1"),
)
Ready = Callable[[], bool]


def make_homes() -> None:
    """Make both homes and pack them."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal"
        for search in (DONE, OTHER):
            _run(journal, *search)
        _run(journal, "confirm", "done", "--seeds", "2")
        _kill_confirmation(journal, "confirm", "other", "--seeds", "2", "--max-concurrent", "1")
        _kill_search(journal, *HALF)
        _pack(journal)

        sqlite = Path(folder) / "sqlite"
        at = ("--storage", f"sqlite:///{sqlite / 'studies.db'}")
        sqlite.mkdir()
        _run(sqlite, *OTHER, *at)
        _kill_confirmation(sqlite, "confirm", "other", "--seeds", "2", "--max-concurrent", "1", *at)
        _kill_search(sqlite, *HALF, *at)
        _pack(sqlite)


def _run(home: Path, *arguments: str) -> None:
    ended = safr(home, *arguments)
    if ended.code:
        raise SystemExit(ended.err)


def _kill_search(home: Path, *arguments: str) -> None:
    """Kill a search when its fourth trial has saved its second epoch."""
    states = f"half-*/{KILLED_TRIAL:05d}/state/epoch-*[2-9].json"
    _kill(home, arguments, lambda: any((home / "checkpoints").glob(states)))


def _kill_confirmation(home: Path, *arguments: str) -> None:
    """Kill a confirmation when two of its runs have ended and a third has begun."""

    def ready() -> bool:
        folders = sorted((home / "checkpoints").glob("other-*/confirm/*"))
        return len(folders) > 2 and sum((one / "finished.json").exists() for one in folders) == 2

    _kill(home, arguments, ready)


def _kill(home: Path, arguments: Sequence[str], ready: Ready) -> None:
    with subprocess.Popen(
        command_line(*arguments),
        env=environment(home),
        cwd=home.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while not ready():
            if process.poll() is not None:
                raise SystemExit(f"it ended with {process.returncode} before it was killed")
            time.sleep(0.01)
        # The driver first: none of its processes may tell it that another has died.
        process.kill()
        orphans = of_session(process.pid)
        for orphan in orphans:
            orphan.kill()
        wait_for_end(orphans, 20)


def _pack(home: Path) -> None:
    words = {
        str(SPACE): OLD_SPACE,
        str(REPOSITORY): "/old-code",
        str(home.parent): "/old",
    }
    packed(home, home.name, words)
