"""Any trial of a study is a model: explained, evaluated and pulled by its number."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored_study import ask, files, finished_study, stop_early, study_spec

from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.features.explain.explain import explain, load
from safr_study.features.study_base.stores import Stores, check_model, model_folder, pull_model
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger

VALUES = {0: (80.0, 10.0), 1: (75.0, 20.0), 2: (60.0, 5.0)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return finished_study(home, study_spec("s1", trials=5), VALUES)


def test_each_trial_is_its_own_model(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    stores, text = Stores(home), "the film was good"
    asked = [explain(load(f"s1#{n}", stores), text, reference=f"s1#{n}") for n in VALUES]
    assert len({one.words[0].capacity for one in asked}) == len(VALUES)
    for number, one in enumerate(asked):
        kept = home.checkpoints(ledger.uid) / f"{number:05d}" / "model"
        assert explain(load(str(kept), stores), text, reference="x").words == one.words
        # It is beaten by both others, so the registry does not have it.
        folder = pull_model(f"s1#{number}", tmp_path / f"pulled-{number}", stores)
        assert files(folder) == files(kept)


def test_a_trial_without_a_model_is_said(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    stores = Stores(home)
    (stopped,) = ask(ledger)
    stop_early(ledger, stopped)
    with pytest.raises(BadInput, match=r"trial 3 of 's1' left no model \(it is pruned\).*0, 1, 2"):
        pull_model("s1#3", tmp_path / "out", stores)
    with pytest.raises(BadInput, match="has no trial 9; its trials: 0 to 3"):
        load("s1#9", stores)
    with pytest.raises(BadInput, match="'other' is unknown here; there are: s1"):
        load("other#0", stores)
    with pytest.raises(BadInput, match="STUDY#TRIAL"):
        check_model("s1#seven", stores)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_folder_comes_before_a_trial_of_its_name(
    home: Home, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pull_model("s1#1", Path("s1#0"), Stores(home))
    with model_folder("s1#0", Stores(home)) as folder:
        assert files(folder) == files(home.checkpoints(ledger.uid) / "00001" / "model")


def test_files_that_changed_are_refused(home: Home, ledger: Ledger, tmp_path: Path) -> None:
    kept = home.checkpoints(ledger.uid)
    for name, content in files(kept / "00001" / "model").items():
        (kept / "00000" / "model" / name).write_bytes(content)
    with pytest.raises(CorruptCheckpoint, match="is not the model that trial 0 of 's1' left"):
        pull_model("s1#0", tmp_path / "out", Stores(home))
    weights = kept / "00001" / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CorruptCheckpoint):
        load("s1#1", Stores(home))
    assert not (tmp_path / "out").exists()
