"""Tests marked ``cluster``, left out while nothing that they exercise changes.

``make test-cluster`` runs them all, and when all passed keeps the digest of what they exercise.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

RECORD = "tests/cluster_tier.sha256"
"""Digest of the files that the tests last passed with."""
EXERCISED = (
    *("safr_study/cluster", "safr_study/runner", "safr_study/ledger", "safr_study/tracking"),
    *("safr_study/object_store.py", "safr_study/home.py", "safr_study/errors.py"),
    *("safr_study/checkpoint/resume_state.py", "safr_study/features/study_base"),
    *("safr_study/features/search", "safr_study/features/confirm", "safr_study/features/submit.py"),
    *("safr_study/features/sync.py", "safr_study/features/paper/runs.py"),
    *("constraints.txt", "pyproject.toml"),
)
"""What is not exercised by other tests as well: locks, stores, outages, nodes, resumption."""
_DIGEST = pytest.StashKey[str]()
_IMPORTED = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)


def marked_files(root: Path) -> set[Path]:
    """The files with marked tests, and the modules of the tests' own that they import."""
    modules = {path.stem: path for path in (root / "tests").rglob("*.py")}
    integration = (root / "tests" / "integration").glob("test_*.py")
    wanted = [path for path in integration if "mark.cluster" in path.read_text("utf-8")]
    found: set[Path] = set()
    while wanted:
        found.add(path := wanted.pop())
        names = _IMPORTED.findall(path.read_text("utf-8"))
        wanted += [modules[name] for name in names if modules.get(name, path) not in found]
    return found


def exercised_files(root: Path) -> list[Path]:
    """All files whose change makes the tests run, in an order that is the same everywhere."""
    files = marked_files(root)
    for name in EXERCISED:
        path = root / name
        files.update(path.rglob("*") if path.is_dir() else [path])
    return sorted(path for path in files if path.is_file() and "__pycache__" not in path.parts)


def digest(root: Path) -> str:
    """SHA-256 over names and contents of the exercised files."""
    total = sha256()
    for path in exercised_files(root):
        name = path.relative_to(root).as_posix()
        total.update(f"{sha256(path.read_bytes()).hexdigest()} {name}\n".encode())
    return total.hexdigest()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record-cluster-tier", action="store_true", help="keep the digest if passed")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_DIGEST] = digest(config.rootpath)


def _left_out(config: pytest.Config) -> bool:
    """Whether nothing has changed, and the command line names neither the mark nor a file."""
    record = config.rootpath / RECORD
    asked_for = "cluster" in config.option.markexpr or any(".py" in name for name in config.args)
    passed = record.read_text("utf-8").strip() if record.is_file() else ""
    return passed == config.stash[_DIGEST] and not asked_for


def pytest_report_header(config: pytest.Config) -> str:
    reason = "left out, nothing they exercise changed (make test-cluster runs them)"
    return f"cluster tests: {reason if _left_out(config) else 'run'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the marked tests out; those of ``long`` and ``drill`` are asked for by these marks."""
    if _left_out(config):
        marks = {item: {mark.name for mark in item.iter_markers()} for item in items}
        out = [item for item in items if marks[item] & {"cluster", "long", "drill"} == {"cluster"}]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Keep the digest of a run in which all passed and none was skipped."""
    if config.option.record_cluster_tier:
        passed = exitstatus == 0 and not terminalreporter.stats.get("skipped")
        if passed:
            (config.rootpath / RECORD).write_text(config.stash[_DIGEST] + "\n", "utf-8")
        done = f"passed, commit {RECORD}" if passed else "not recorded, as not all passed"
        terminalreporter.write_line(f"cluster tests: {done}")
