from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from safr_study.errors import BadInput
from safr_study.home import SCHEMA_VERSION, open_home


def test_the_argument_wins_over_the_environment_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_home().root == tmp_path / ".safr-study"
    monkeypatch.setenv("SAFR_STUDY_HOME", str(tmp_path / "from-environment"))
    assert open_home().root == tmp_path / "from-environment"
    assert open_home(tmp_path / "given").root == tmp_path / "given"


def test_a_home_is_found_again(tmp_path: Path) -> None:
    first = open_home(tmp_path / "home")
    assert open_home(tmp_path / "home") == first
    assert json.loads((first.root / "home.json").read_text("utf-8")) == {"schema": SCHEMA_VERSION}


@pytest.mark.parametrize("marker", ['{"schema": 99}', "{}", "[1]", "not json", ""])
def test_a_home_of_another_version_is_refused(tmp_path: Path, marker: str) -> None:
    (tmp_path / "home.json").write_text(marker, encoding="utf-8")
    with pytest.raises(BadInput, match=r"home: .*--home"):
        open_home(tmp_path)


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match=r"home: .*writable folder"):
        open_home(tmp_path / "file")


def test_who_reads_is_told_that_an_argument_is_no_folder_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=r"home: there is no .*mistyped; give the folder"):
        open_home(tmp_path / "mistyped", must_exist=True)
    assert not (tmp_path / "mistyped").exists()
    # Where no folder is named, a new one is as good as any: it says that there is no study yet.
    monkeypatch.chdir(tmp_path)
    assert open_home(must_exist=True).root == tmp_path / ".safr-study"


def test_a_new_home_is_its_users_alone_and_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    new = open_home(tmp_path / "below" / "home").root
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o775)
    assert stat.S_IMODE(open_home(shared).root.stat().st_mode) == 0o775


def test_who_reads_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_home(make=False).root == tmp_path / ".safr-study"
    (tmp_path / "empty").mkdir()
    assert open_home(tmp_path / "empty", must_exist=True, make=False).root == tmp_path / "empty"
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["empty"]
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match=r"home: .*cannot be used"):
        open_home(tmp_path / "file", make=False)
    made = open_home(tmp_path / "made")
    assert open_home(made.root, make=False) == made
    (made.root / "home.json").write_text('{"schema": 99}', encoding="utf-8")
    with pytest.raises(BadInput, match="has schema 99"):
        open_home(made.root, make=False)
