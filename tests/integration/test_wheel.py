"""What is installed for a user: the package, its spaces, its licence."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("safr_study", "search_spaces", "pyproject.toml", "README.md", "LICENSE")


def test_the_wheel_holds_the_spaces_the_types_and_the_licence(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in SOURCES:
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=ignored)
        else:
            shutil.copy(source, project / name)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", str(project), "--no-deps"),
            *("--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path / "wheels")),
        ],
        check=True,
    )
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    spaces = {f"search_spaces/{path.name}" for path in (ROOT / "search_spaces").glob("*.yaml")}
    assert spaces
    assert names >= {"safr_study/py.typed", "safr_study/cli/app.py", *spaces}
    assets = {f"safr_study/report/assets/{name}" for name in ("base.css", "study.css", "study.js")}
    assert names >= assets | {"safr_study/report/assets/sort.js"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "deploy", "docs"))]
