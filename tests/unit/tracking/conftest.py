from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from safr_study.home import Home, open_home
from safr_study.tracking import writer as writer_module
from safr_study.tracking.store import Store, open_store


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database without runs; its migration is most of the time of a test."""
    home = open_home(tmp_path_factory.mktemp("template"))
    open_store(home, f"sqlite:///{home.tracking_database}")
    return home.tracking_database


@pytest.fixture
def home(tmp_path: Path, migrated_database: Path) -> Home:
    home = open_home(tmp_path / "home")
    shutil.copyfile(migrated_database, home.tracking_database)
    return home


@pytest.fixture
def store(home: Home) -> Store:
    return open_store(home)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that failed is asked again at once."""
    monkeypatch.setattr(writer_module, "RETRY_SECONDS", 0.01)
