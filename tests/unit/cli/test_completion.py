from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stored_study import begin, study_spec

from safr_study.home import Home, open_home

HEAVY = ("torch", "ray", "mlflow", "optuna", "datasets")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = open_home(tmp_path_factory.mktemp("completed"))
    for name in ("alpha", "alpine", "beta"):
        begin(home, study_spec(name))
    return home


def offered(home: Path, line: str, folder: Path) -> set[str]:
    """What a shell is offered for a line that ends where Tab was pressed, and nothing heavy."""
    code = (
        "import sys\n"
        "sys.argv = ['safr-study']\n"
        "from safr_study.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={
            **os.environ,
            "SAFR_STUDY_HOME": str(home),
            "_SAFR_STUDY_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_studies_data_sets_spaces_and_metrics_are_offered(home: Home, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    (tmp_path / "mine.yaml").touch()
    for line, expected in {
        "safr-study pareto al": {"alpha", "alpine"},
        "safr-study search --dataset ss": {"sst2", "sst2-treebank"},
        "safr-study search --dataset mi": {"mine.csv"},
        "safr-study search --space m": {"mine.yaml"},
        "safr-study search --space lam": {"lambda"},
        "safr-study search --objective accu": {"accuracy"},
    }.items():
        assert offered(home.root, line, tmp_path) == expected, line


def test_a_pulled_model_is_offered(home: Home, tmp_path: Path) -> None:
    (tmp_path / "pulled").mkdir()
    (tmp_path / "pulled" / "model.json").touch()
    assert offered(home.root, "safr-study evaluate ", tmp_path) == {"pulled"}


def test_tab_makes_nothing_and_is_silent_where_there_is_nothing(tmp_path: Path) -> None:
    home = tmp_path / "none"
    assert offered(home, "safr-study pareto ", tmp_path) == set()
    assert offered(home, "safr-study explain ", tmp_path) == set()
    assert not home.exists()
