"""What all tests share: where the real data is, fixed threads and seeds."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from made_once import make_once
from xdist.scheduler import LoadScopeScheduling

# The width of the terminal, which pytest-xdist passes on: a test that needs one gives it itself.
os.environ.pop("COLUMNS", None)
# Before numpy and torch are imported: several processes of tests share the cores, where the threads
# of small products wait for one another.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# A slow moment of the machine is no fault of what is tested. A push tries few examples, the same
# for all; SAFR_TEST_EXAMPLES=300, at night, tries many and new ones: what it finds is news.
_EXAMPLES = os.environ.get("SAFR_TEST_EXAMPLES")
settings.register_profile("push", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("night", deadline=None, max_examples=int(_EXAMPLES or 300))
settings.load_profile("push" if _EXAMPLES is None else "night")

pytest_plugins = ["cluster_tier"]

PLANTED = (
    "test_search.py",
    "test_report.py",
    "test_crash_safety.py",
    "test_explain_page.py",
    "test_dashboard.py",
    "test_mlflow_page.py",
    "test_hand_on.py",
)
"""Files of tests that look at the one planted study: one process runs them, and trains it once."""
LONGEST = ("test_readme.py", *PLANTED, "test_confirm.py", "test_old_homes.py")
"""Files of integration tests that begin first, as they end last."""


class ByFile(LoadScopeScheduling):
    """Tests of one file, or of all files with the planted study, stay in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        return "planted study" if _is_of(file, PLANTED) else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How pytest-xdist gives tests to processes."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""

    def place(item: pytest.Item) -> int:
        long = _is_of(item.path, LONGEST)
        return LONGEST.index(item.path.name) if long else len(LONGEST)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Spare the collector of garbage the modules and the tests, which stay to the end."""
    gc.freeze()


def _is_of(file: Path, names: tuple[str, ...]) -> bool:
    return file.parent.name == "integration" and file.name in names


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No home, server or cluster of the person who runs the tests is touched."""
    make_once()
    for name in ("SAFR_STUDY_HOME", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped without it."""
    folder = os.environ.get("SAFR_STUDY_DATA")
    if not folder:
        pytest.skip("SAFR_STUDY_DATA is not set: no real data to test with")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden files: the authors' model as data, and values by brute force."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden_measures(golden: Path) -> dict[str, Any]:
    """Brute-force values of the definitions."""
    values: dict[str, Any] = json.loads((golden / "measures.json").read_text("utf-8"))
    return values


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_interrupts() -> Iterator[None]:
    """As in a terminal: a shell's background job ignores it, and so would what it starts."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
