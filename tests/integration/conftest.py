"""Studies that are run once, as their user would, for all the tests that look at their traces."""

from __future__ import annotations

import pytest
from commands import REAL, SMALL, FinishedStudy, safr


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    """A study of 12 trials on the planted corpus, run from the command line."""
    home = tmp_path_factory.mktemp("planted") / "home"
    return FinishedStudy(home, "planted", SMALL, safr(home, *SMALL))


@pytest.fixture(
    scope="session",
    params=["planted", pytest.param("sst2", marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FinishedStudy:
    """The planted study; with ``-m long`` the one on SST-2 that the README shows."""
    if request.param == "planted":
        small: FinishedStudy = request.getfixturevalue("planted")
        return small
    request.getfixturevalue("real_data")
    home = tmp_path_factory.mktemp("sst2") / "home"
    return FinishedStudy(home, "sst2", REAL, safr(home, *REAL, timeout=3600))
