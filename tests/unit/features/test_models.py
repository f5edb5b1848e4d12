from __future__ import annotations

from pathlib import Path

import pytest
from stored_study import ask, begin, complete, study_spec

from safr_study.errors import BadInput
from safr_study.features.confirm.plan import searched_study
from safr_study.features.models import registered_models
from safr_study.features.promote import promote_study
from safr_study.features.study_base.results import load_result, write_result
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home
from safr_study.settings.space_files import find_space


def test_where_nothing_was_tracked_there_is_no_model_and_no_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = open_home(tmp_path / "home")
    assert registered_models(Stores(home)) == []
    assert not home.tracking_database.exists()


def test_a_study_in_which_nobody_keeps_the_constraints_says_so(tmp_path: Path) -> None:
    stores = Stores(open_home(tmp_path / "home"))
    space = {**find_space("lambda").model_dump(), "constraints": ["accuracy >= 99"]}
    ledger = begin(stores.home, study_spec(space=space))
    with pytest.raises(BadInput, match="'s' has no complete trial yet: nothing to promote"):
        promote_study("s", stores)
    for number in ask(ledger, 2):
        complete(ledger, number, (80.0, 10.0 + number), violations=(19.0,))
    said = r"'s' has no trial that keeps accuracy >= 99 yet \(2 complete trials did not\): nothing"
    with pytest.raises(BadInput, match=f"{said} to promote"):
        promote_study("s", stores)
    with pytest.raises(BadInput, match=f"{said} to confirm"):
        searched_study(ledger)
    with pytest.raises(BadInput, match=f"{said} to draw"):
        write_result(load_result("s", stores), tmp_path)
