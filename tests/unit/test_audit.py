from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", REPOSITORY / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name: str, *vulnerabilities: str, asked: bool = True) -> dict[str, Any]:
    """As pip-audit reports one."""
    if not asked:
        return {"name": name, "skip_reason": "Dependency not found"}
    found = [
        {"id": one, "aliases": [f"CVE-{one}"], "fix_versions": ["2.0"]} for one in vulnerabilities
    ]
    return {"name": name, "version": "1.0", "vulns": found}


@pytest.mark.parametrize("report", [None, {"dependencies": [package("a", asked=False)]}])
def test_without_the_database_nothing_is_claimed(audit: ModuleType, report: Any) -> None:
    code, lines = audit.verdict(report, {"X-1": "a reason"})
    assert code == 0
    assert lines == ["audit: NOT DONE: the vulnerability database does not answer here"]


def test_a_vulnerability_fails_and_says_what_mends_it(audit: ModuleType) -> None:
    report = {"dependencies": [package("a", "X-1"), package("b"), package("c", asked=False)]}
    assert audit.verdict(report, {}) == (
        1,
        [
            "error: a 1.0: X-1; fixed in 2.0",
            "audit: 2 versions asked about; 1 could not be asked about",
        ],
    )


@pytest.mark.parametrize("name", ["X-1", "CVE-X-1"])
def test_one_that_is_accepted_is_shown_with_its_reason(audit: ModuleType, name: str) -> None:
    code, lines = audit.verdict({"dependencies": [package("a", "X-1")]}, {name: "not called"})
    assert code == 0
    assert lines[0] == "accepted: a 1.0: X-1: not called"


def test_an_exception_that_nothing_needs_fails(audit: ModuleType) -> None:
    code, lines = audit.verdict({"dependencies": [package("a")]}, {"X-1": "not called"})
    assert code == 1
    assert lines[0].startswith("error: X-1 of audit-exceptions.toml is needed no more")


def test_every_exception_has_a_reason(audit: ModuleType) -> None:
    reasons = tomllib.loads(audit.EXCEPTIONS.read_text("utf-8"))["reasons"]
    assert [name for name, reason in reasons.items() if len(reason.split()) < 4] == []
