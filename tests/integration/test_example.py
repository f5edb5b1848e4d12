"""The example script of the README, as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from commands import environment

EXAMPLE = Path(__file__).parents[1] / "example_api.py"


def test_the_example_of_the_python_api_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        env=environment(tmp_path / "home"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for said in ("hypervolume", "capacity", "cue1_", "as expected: model: there is no"):
        assert said in done.stdout
    assert "4 of 4 trials complete" in done.stderr
    # The knee has the three cues of the class on top.
    assert done.stdout.count("cue1_") == 3
    # Nothing but what the script prints.
    assert "trial 0" not in done.stdout
