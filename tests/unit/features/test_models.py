from __future__ import annotations

from pathlib import Path

import pytest

from safr_study.features.models import registered_models
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home


def test_where_nothing_was_tracked_there_is_no_model_and_no_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = open_home(tmp_path / "home")
    assert registered_models(Stores(home)) == []
    assert not home.tracking_database.exists()
