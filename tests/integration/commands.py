"""Runs ``safr-study`` as its user would, in a process and a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fork_server import forked, server
from shared_ray import shared_address, uses_ray

STUDY = "s1"
TRIALS = 12
SMALL = [
    *("search", "--dataset", "planted", "--study", STUDY, "--space", "smoke"),
    *("--trials", str(TRIALS), "--epochs", "2", "--sampler", "random", "--seed", "0"),
]
"""Some seconds of training."""
REAL = [
    *("search", "--dataset", "sst2", "--study", STUDY),
    *("--trials", str(TRIALS), "--epochs", "8", "--seed", "0"),
]
"""Some minutes of training, on real data."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class FinishedStudy:
    """A finished study and where it is."""

    home: Path
    dataset: str
    command: Sequence[str]
    ended: Ended


def environment(home: Path) -> dict[str, str]:
    """The environment of a user's shell, with a home of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "RAY_TMPDIR"
        or not name.startswith(("SAFR_STUDY_HOME", "MLFLOW_", "RAY_", "TUNE_", "HF_"))
    }
    return {
        **kept,
        "SAFR_STUDY_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
        # Ray's workers are nice (15): next to other tests they would get nothing.
        "RAY_worker_niceness": "0",
    }


def command_line(*arguments: str) -> list[str]:
    """``safr-study`` as a command of this interpreter."""
    return [sys.executable, "-m", "safr_study", *arguments]


def safr(home: Path, *arguments: str, timeout: float = 280, own_ray: bool = False) -> Ended:
    """Run ``safr-study`` to its end, in a fork of a process that has its imports.

    What trains is on the Ray that the studies of this process share, with room for one trial at
    once; with a Ray of its own, the command has a process of its own too, as for a user.
    """
    env = environment(home)
    if own_ray:
        line = command_line(*arguments)
        done = subprocess.run(
            line, env=env, cwd=home.parent, timeout=timeout, capture_output=True, text=True
        )
        return Ended(done.returncode, done.stdout, done.stderr)
    ray = shared_address(server()) if uses_ray(arguments) else None
    return Ended(*forked(arguments, env=env, cwd=home.parent, timeout=timeout, ray=ray))
