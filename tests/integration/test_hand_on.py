"""A study that was really run, handed on to a home in which nothing is: it is the same study."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from commands import STUDY, TRIALS, Ended, FinishedStudy, safr

TEXT = "the film was good and the plot was bad"
OF_PLACES = {"run_id", "uri"}
"""What a document says of its home."""


def shown(home: Path, *words: str) -> Any:
    ended = safr(home, *words, "--json")
    assert ended.code == 0, ended.err
    return ended.json


def alike(document: Any) -> Any:
    """A document without what is of one home."""
    if isinstance(document, dict):
        return {key: alike(value) for key, value in document.items() if key not in OF_PLACES}
    return [alike(one) for one in document] if isinstance(document, list) else document


@pytest.fixture(scope="module")
def archive(planted: FinishedStudy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("archive") / "s1.zip"
    done = shown(planted.home, "export", STUDY, "--out", str(out))
    assert done["bytes"] == out.stat().st_size
    assert (done["models"], done["missing"]) == (TRIALS, [])
    return out


@pytest.fixture(scope="module")
def there(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("there") / "home"
    done = shown(home, "import", str(archive))
    assert (done["study"], done["trials"], done["models"]) == (STUDY, TRIALS, TRIALS)
    assert done["synced"]["runs"] == 1 + TRIALS
    return home


def test_it_ranks_and_is_listed_as_it_was(planted: FinishedStudy, there: Path) -> None:
    ours, theirs = (shown(at, "pareto", STUDY) for at in (planted.home, there))
    assert alike(ours) == alike(theirs)
    # Control: there are numbers in it, and runs that differ.
    assert len(ours["trials"]) + len(ours["unranked"]) == TRIALS
    assert ours != theirs
    assert shown(planted.home, "list") == shown(there, "list")
    status = shown(there, "status", STUDY)
    assert (status["complete"], status["undelivered"], status["command"]) == (TRIALS, None, None)


def test_its_models_explain_to_the_last_digit(planted: FinishedStudy, there: Path) -> None:
    front = [one["trial"] for one in shown(there, "pareto", STUDY)["trials"] if one["on_front"]]
    words = []
    for number in front[:2]:
        ours, theirs = (
            shown(at, "explain", f"{STUDY}#{number}", TEXT) for at in (planted.home, there)
        )
        assert ours == theirs
        words.append(ours["words"])
    assert len(words) < 2 or words[0] != words[1]


def test_its_front_is_registered_anew(planted: FinishedStudy, there: Path) -> None:
    def versions(home: Path) -> list[tuple[str, str, str]]:
        found = shown(home, "models")["models"]
        return sorted((one["name"], one["tags"]["trial"], one["tags"]["sha256"]) for one in found)

    assert versions(there)
    assert set(versions(there)) <= set(versions(planted.home))


def test_it_can_be_confirmed_and_gone_on_with(planted: FinishedStudy, there: Path) -> None:
    confirm = ("confirm", STUDY, "--seeds", "2", "--dry-run")
    ours, theirs = (shown(at, *confirm) for at in (planted.home, there))
    for of_time in ("seconds", "disk_bytes"):
        ours.pop(of_time), theirs.pop(of_time)
    assert ours == theirs
    assert len(theirs["missing"]) == theirs["wanted"] > 0
    again = safr(there, *planted.command)
    assert again.code == 0, again.err
    assert f"Study {STUDY}: {TRIALS} of {TRIALS} trials" in again.out


def test_what_is_handed_on_again_is_the_same_study(
    planted: FinishedStudy, archive: Path, there: Path, tmp_path: Path
) -> None:
    def content(file: Path) -> dict[str, bytes]:
        with zipfile.ZipFile(file) as opened:
            return {name: opened.read(name) for name in opened.namelist()}

    out = tmp_path / "again.zip"
    shown(there, "export", STUDY, "--out", str(out))
    assert content(out) == content(archive)
    journal = content(out)["ledger.journal"].decode()
    assert str(planted.home) not in "".join(
        data.decode() for name, data in content(out).items() if not name.endswith(".safetensors")
    )
    states = [json.loads(line).get("state") for line in journal.splitlines()]
    assert states.count(1) == TRIALS


def test_a_copy_needs_a_name_of_its_own_and_a_torn_file_is_said(
    archive: Path, there: Path, tmp_path: Path
) -> None:
    def import_(*words: str) -> Ended:
        return safr(there, "import", *words)

    taken = import_(str(archive))
    assert (taken.code, taken.out) == (2, "")
    assert taken.err.strip().splitlines() == [
        f"error: study: there is a study {STUDY!r} already; give this one another name with "
        "--as NAME"
    ]
    torn = tmp_path / "torn.zip"
    torn.write_bytes(archive.read_bytes()[:-40])
    ended = import_(str(torn), "--as", "torn")
    assert (ended.code, len(ended.err.strip().splitlines())) == (2, 1)
    assert "is no whole zip" in ended.err
    copied = import_(str(archive), "--as", "copy")
    assert copied.code == 0, copied.err
    assert f"Study copy is here: {TRIALS} trials, {TRIALS} models" in copied.out
    assert [one["name"] for one in shown(there, "list")["studies"]] == ["copy", STUDY]
