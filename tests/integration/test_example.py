"""The example script of the README, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from commands import environment
from fork_server import forked, server
from shared_ray import shared_address

EXAMPLE = Path(__file__).parents[1] / "example_api.py"


def test_the_example_of_the_python_api_runs(tmp_path: Path) -> None:
    code, out, err = forked(
        [],
        env=environment(tmp_path / "home"),
        cwd=tmp_path,
        timeout=280,
        ray=shared_address(server()),
        script=EXAMPLE,
    )
    assert code == 0, err
    for said in ("hypervolume", "capacity", "cue1_", "as expected: model: there is no"):
        assert said in out
    assert "4 of 4 trials complete" in err
    # A cue of the class has the highest capacity of the ten words.
    assert re.search(r"word +capacity.*\n *cue1_\d\d ", out)
    # Nothing but what the script prints.
    assert "trial 0" not in out
