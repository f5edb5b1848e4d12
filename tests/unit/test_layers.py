"""The contract of the layers holds, and each part of it fails where it is broken.

``lint-imports`` reads ``pyproject.toml``; the controls run it on a copy of the package in which one
module imports what it must not.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")
BROKEN = (
    ("records/study.py", "import safr_study.cli.app", "Layers import downward only"),
    ("evaluation/capacity.py", "import safr_study.training.loop", "Layers import downward only"),
    ("ledger/ledger.py", "import safr_study.cluster.ray_cluster", "Layers import downward only"),
    ("features/confirm/plan.py", "import safr_study.features.paper.rows", "Features are"),
    ("features/study_base/stores.py", "import safr_study.features.models", "Features are"),
    ("ledger/ledger.py", "import ray", "Ray stays in"),
    ("runner/driver.py", "import optuna", "Optuna stays in"),
    ("features/search/search.py", "import mlflow", "MLflow stays in"),
    ("features/search/search.py", "import rich", "Typer and rich stay in"),
    ("model/safr.py", "import pandas", "The model is pure torch"),
)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    # The copy comes first on the path, before the installed package.
    return subprocess.run(
        [sys.executable, str(LINT), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a copy of the package and its contract."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "safr_study", tmp_path / "safr_study", ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold(package: Path) -> None:
    done = lint(package)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("module", "line", "contract"), BROKEN)
def test_what_breaks_the_contract_is_found(
    package: Path, module: str, line: str, contract: str
) -> None:
    path = package / "safr_study" / module
    path.write_text(f"{path.read_text('utf-8')}\n{line}\n", "utf-8")
    done = lint(package)
    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if " BROKEN" in line]
    assert any(line.startswith(contract) for line in broken), done.stdout


def test_a_module_outside_the_layers_is_found(package: Path) -> None:
    (package / "safr_study" / "elsewhere.py").write_text('"""Nothing."""\n', "utf-8")
    done = lint(package)
    assert done.returncode == 1
    assert "elsewhere" in done.stdout
