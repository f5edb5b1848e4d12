"""One small study, run once as its user would, for all the tests that look at its traces."""

from __future__ import annotations

import pytest
from commands import COMMAND, FinishedStudy, safr


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    """A study of 12 trials on the planted corpus, run from the command line."""
    home = tmp_path_factory.mktemp("finished") / "home"
    return FinishedStudy(home, COMMAND, safr(home, *COMMAND))
