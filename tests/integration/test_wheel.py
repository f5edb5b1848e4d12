"""What is installed for a user: the package, its spaces, its licence."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from commands import SMALL, STUDY, environment, safr
from packaged import ROOT, build_wheel


def test_the_wheel_holds_the_spaces_the_types_and_the_licence(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as archive:
        names = set(archive.namelist())
    spaces = {f"search_spaces/{path.name}" for path in (ROOT / "search_spaces").glob("*.yaml")}
    assert spaces
    assert names >= {"safr_study/py.typed", "safr_study/__init__.pyi", "safr_study/cli/app.py"}
    assert names >= {"safr_study/tracking/model_code.py", *spaces}
    assets = {f"safr_study/render/assets/{name}" for name in ("base.css", "study.css", "study.js")}
    assert names >= assets | {"safr_study/render/assets/sort.js"}
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "safr_study").rglob("*.html")}
    assert templates
    assert names >= templates
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "deploy", "docs"))]


def test_a_study_by_the_installed_wheel_is_that_of_the_clone(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", str(wheel), "--no-deps", "--quiet"),
            *("--no-index", "--target", str(installed)),
        ],
        check=True,
    )
    # The libraries are those of the clone's environment; safr-study comes from the wheel first.
    env = {**environment(tmp_path / "by-wheel"), "PYTHONPATH": str(installed)}
    where = [sys.executable, "-P", "-c", "import safr_study; print(safr_study.__file__)"]
    found = subprocess.run(where, env=env, cwd=empty, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(installed)
    command = [*SMALL, "--trials", "3"]
    subprocess.run(
        [sys.executable, "-P", "-m", "safr_study", *command],
        env=env,
        cwd=empty,
        check=True,
        capture_output=True,
    )
    assert safr(tmp_path / "by-clone", *command).code == 0
    by_wheel, by_clone = (
        safr(tmp_path / name, "pareto", STUDY, "--json").json for name in ("by-wheel", "by-clone")
    )
    assert by_wheel["hypervolume"] == by_clone["hypervolume"]
    ranked = [
        [(one["trial"], one["values"]) for one in by["trials"]] for by in (by_wheel, by_clone)
    ]
    assert len(ranked[0]) == 3
    assert ranked[0] == ranked[1]
