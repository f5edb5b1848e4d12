"""What all tests share: where the real data is, fixed threads and seeds."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The width of the terminal, which pytest-xdist passes on: a test that needs one gives it itself.
os.environ.pop("COLUMNS", None)
# A slow moment of the machine is no fault of what is tested. A push tries few examples, the same
# for all; SAFR_TEST_EXAMPLES=300, at night, tries many and new ones: what it finds is news.
_EXAMPLES = os.environ.get("SAFR_TEST_EXAMPLES")
settings.register_profile("push", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("night", deadline=None, max_examples=int(_EXAMPLES or 300))
settings.load_profile("push" if _EXAMPLES is None else "night")

LONGEST = (
    "tests/integration/test_readme.py",
    "planted study",
    "tests/integration/test_confirm.py",
    "tests/integration/test_crash_safety.py",
    "tests/integration/test_old_homes.py",
)
"""Groups of tests that begin first, as they end last."""


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell pytest-xdist which tests belong to one process, and begin with the longest of them.

    All that look at the one planted study are together, so that it is trained once; the others by
    their file.
    """

    def group(item: pytest.Item) -> str:
        looks = {"planted", "finished"} & set(getattr(item, "fixturenames", ()))
        file = item.nodeid.partition("::")[0]
        return "planted study" if looks and "integration" in item.path.parts else file

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(group(item), len(order)))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No home, server or cluster of the person who runs the tests is touched."""
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
