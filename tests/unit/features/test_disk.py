from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from safr_study.errors import BadInput
from safr_study.features.study_base.cost import RESERVE_BYTES, free_space_check
from safr_study.home import open_home


def test_what_the_disk_cannot_hold_is_refused_in_a_sentence(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    free = shutil.disk_usage(home.root).free
    with pytest.raises(BadInput, match="GB are needed below") as refused:
        free_space_check(home, 10 * free)
    assert "safr-study clean" in str(refused.value)
    with pytest.raises(BadInput, match="GB are free"):
        free_space_check(home, free - RESERVE_BYTES // 2)
    if free > 2 * RESERVE_BYTES:
        free_space_check(home, 1000)
