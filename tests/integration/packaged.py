"""The package as its users get it: a wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SOURCES = ("safr_study", "search_spaces", "pyproject.toml", "README.md", "LICENSE")


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the sources, in which nothing was built before."""
    project = folder / "project"
    project.mkdir(parents=True)
    for name in _SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, project / name)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", str(project), "--no-deps"),
            *("--no-build-isolation", "--quiet", "--wheel-dir", str(folder / "wheels")),
        ],
        check=True,
    )
    (wheel,) = (folder / "wheels").glob("*.whl")
    return wheel
