"""What is installed for a user: the package, its spaces, its licence."""

from __future__ import annotations

import zipfile
from pathlib import Path

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
