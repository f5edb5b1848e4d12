"""Tests marked ``cluster`` run when what they exercise has changed, or when they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_tier import EXERCISED, RECORD, digest, exercised_files, marked_files

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
TEST = """
import pytest
import helper

@pytest.mark.cluster
def test_far(): assert helper.RIGHT

@pytest.mark.cluster
@pytest.mark.long
def test_far_and_long(): pass

def test_near(): pass
"""
INI = """
[pytest]
markers =
    cluster
    long
pythonpath = tests
addopts = -p no:cacheprovider -p no:xdist
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """A project with a module that is exercised, one that is not, and a helper of its tests."""
    files = {
        "safr_study/runner/worker.py": "",
        "safr_study/model/safr.py": "",
        "tests/helper.py": "RIGHT = True",
        "tests/other.py": "",
        "tests/integration/test_nodes.py": TEST,
        "tests/integration/test_else.py": "import other",
        "pytest.ini": INI,
    }
    for name, text in files.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return pytester.path


def ran(pytester: pytest.Pytester, *arguments: str) -> tuple[dict[str, int], str]:
    """Outcomes by kind, and the line of the header."""
    done = pytester.runpytest_inprocess("-p", "cluster_tier", *arguments)
    (line,) = [line for line in done.outlines if line.startswith("cluster tests: ")][:1]
    return done.parseoutcomes(), line


@pytest.mark.parametrize(
    "name",
    [
        "safr_study/runner/worker.py",
        "safr_study/runner/new.py",
        "tests/helper.py",
        "tests/integration/test_nodes.py",
        "constraints.txt",
    ],
)
def test_a_change_of_what_is_exercised_changes_the_digest(project: Path, name: str) -> None:
    before = digest(project)
    path = project / name
    path.write_text((path.read_text("utf-8") if path.exists() else "") + "\n# more", "utf-8")
    assert digest(project) != before


def test_another_name_changes_the_digest(project: Path) -> None:
    before = digest(project)
    (project / "safr_study/runner/worker.py").rename(project / "safr_study/runner/task.py")
    assert digest(project) != before


@pytest.mark.parametrize(
    "name",
    [
        "safr_study/model/safr.py",
        "safr_study/runner/__pycache__/worker.cpython-311.pyc",
        "tests/other.py",
        "tests/integration/test_else.py",
    ],
)
def test_any_other_change_leaves_the_digest(project: Path, name: str) -> None:
    before = digest(project)
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("# changed", "utf-8")
    assert digest(project) == before


def test_they_are_left_out_from_when_all_passed_until_a_change(
    project: Path, pytester: pytest.Pytester
) -> None:
    outcomes, line = ran(pytester)
    assert outcomes == {"passed": 3}
    assert line == "cluster tests: run"
    # That they passed is kept on request alone.
    assert not (project / RECORD).exists()
    ran(pytester, "-m", "cluster", "--record-cluster-tier")
    assert (project / RECORD).read_text("utf-8").strip() == digest(project)
    outcomes, line = ran(pytester, "-m", "not long")
    assert outcomes == {"passed": 1, "deselected": 2}
    assert line == (
        "cluster tests: left out, nothing they exercise changed (make test-cluster runs them)"
    )
    (project / "safr_study/runner/worker.py").write_text("# changed", "utf-8")
    outcomes, line = ran(pytester, "-m", "not long")
    assert outcomes == {"passed": 2, "deselected": 1}
    assert line == "cluster tests: run"


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ((), 2),
        (("tests",), 2),
        (("-m", "long"), 1),
        (("-m", "cluster"), 2),
        (("-m", "cluster and not long"), 1),
        (("tests/integration/test_nodes.py",), 3),
        (("tests/integration/test_nodes.py::test_far",), 1),
    ],
)
def test_they_run_when_they_are_asked_for(
    project: Path, pytester: pytest.Pytester, arguments: tuple[str, ...], passed: int
) -> None:
    (project / RECORD).write_text(digest(project), "utf-8")
    assert ran(pytester, *arguments)[0]["passed"] == passed


@pytest.mark.parametrize("text", ["assert False", "pytest.skip('no server')", "raise OSError"])
def test_what_failed_or_was_skipped_is_not_kept_as_passed(
    project: Path, pytester: pytest.Pytester, text: str
) -> None:
    path = project / "tests/integration/test_nodes.py"
    path.write_text(TEST.replace("assert helper.RIGHT", text), "utf-8")
    ran(pytester, "-m", "cluster", "--record-cluster-tier")
    assert not (project / RECORD).exists()


def test_what_is_exercised_is_there() -> None:
    assert [name for name in EXERCISED if not (ROOT / name).exists()] == []
    names = {path.relative_to(ROOT).as_posix() for path in exercised_files(ROOT)}
    assert {"safr_study/runner/worker.py", "constraints.txt"} <= names
    assert not any(name.startswith("safr_study/model") for name in names)


def test_the_tests_are_found_with_the_modules_that_they_import() -> None:
    names = {path.name for path in marked_files(ROOT)}
    assert {"test_outage.py", "test_ray_jobs.py", "ray_nodes.py", "postgres_server.py"} <= names
    assert names.isdisjoint({"test_search.py", "test_dashboard.py"})
