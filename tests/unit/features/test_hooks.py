from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from stored_study import ask, begin, complete, study_spec

from safr_study.errors import (
    BadInput,
    ServiceUnreachable,
    StudyIncomplete,
    StudyInterrupted,
)
from safr_study.features.search.hooks import Hook, State, ended_as, parse_hook, run_hook
from safr_study.features.study_base.results import load_result
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home
from safr_study.render.result_tables import result_json

REPORT = """
import json, os, sys
from pathlib import Path
Path(sys.argv[1]).write_text(json.dumps({
    "arguments": sys.argv[2:], "environment": dict(os.environ), "result": json.load(sys.stdin)
}))
"""


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """A study with two complete trials."""
    made = Stores(open_home(tmp_path / "home"))
    ledger = begin(made.home, study_spec(trials=2))
    for number, values in zip(ask(ledger, 2), ((80.0, 10.0), (70.0, 5.0)), strict=True):
        complete(ledger, number, values)
    return made


def hook(tmp_path: Path, program: str, *arguments: str) -> Hook:
    script = tmp_path / "hook.py"
    script.write_text(program, encoding="utf-8")
    words = " ".join(f"'{word}'" for word in arguments)
    return parse_hook(f"'{sys.executable}' '{script}' {words}")


def reported(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("state", ["complete", "interrupted"])
def test_it_is_told_the_name_the_state_and_the_result(
    stores: Stores, tmp_path: Path, state: State
) -> None:
    made = hook(tmp_path, REPORT, str(tmp_path / "said"))
    assert run_hook(made, "s", stores, state) is None
    said = reported(tmp_path / "said")
    result = load_result("s", stores)
    assert said["result"] == json.loads(json.dumps(result_json(result)))
    told = {key: value for key, value in said["environment"].items() if "SAFR_STUDY_" in key}
    assert {key: told[f"SAFR_STUDY_{key}"] for key in ("NAME", "STATE", "HOME")} == {
        "NAME": "s",
        "STATE": state,
        "HOME": str(stores.home.root),
    }
    assert float(told["SAFR_STUDY_HYPERVOLUME"]) == result.hypervolume == 300.0


def test_a_shell_reads_it(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_USER", "mine")
    line = (
        f"cd '{tmp_path}' && tee whole | wc -c > count; echo $OF_THE_USER $SAFR_STUDY_NAME > name"
    )
    assert run_hook(parse_hook(line), "s", stores, "complete") is None
    assert (tmp_path / "name").read_text().split() == ["mine", "s"]
    assert int((tmp_path / "count").read_text()) == (tmp_path / "whole").stat().st_size > 100


@pytest.mark.parametrize(
    "line", ["echo hi # it's done", "ANSWER=42 env", "(exit 0)", "cd /", "if true; then :; fi"]
)
def test_what_the_shell_can_run_is_run(line: str, stores: Stores) -> None:
    assert run_hook(parse_hook(line), "s", stores, "complete") is None


def test_nothing_of_ours_gets_into_it(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_USER", "kept")
    made = hook(tmp_path, REPORT, str(tmp_path / "said"))
    # As Ray and MLflow do while a study runs.
    monkeypatch.setenv("RAY_AUTH_TOKEN", "hunter2")
    ledger_elsewhere = Stores(
        stores.home,
        tracking_uri="http://me:hunter2@mlflow:5000",
        storage_url="postgresql+psycopg://me:hunter2@127.0.0.1:9/none",
    )
    assert run_hook(made, "s", ledger_elsewhere, "failed") is None
    assert "hunter2" not in (tmp_path / "said").read_text("utf-8")
    said = reported(tmp_path / "said")
    assert said["environment"]["OF_THE_USER"] == "kept"
    # Nothing answers there.
    assert said["result"] is None
    assert said["environment"]["SAFR_STUDY_HYPERVOLUME"] == ""


def test_a_hook_that_fails_is_a_warning(stores: Stores, tmp_path: Path) -> None:
    made = hook(tmp_path, "import sys\nprint('first')\nsys.exit('no such channel')")
    warning = run_hook(made, "s", stores, "complete")
    assert warning is not None
    assert "ended with 1 (no such channel)" in warning
    assert "the study is not affected" in warning
    assert "\n" not in warning


def test_a_hook_that_vanished_meanwhile_is_a_warning(stores: Stores, tmp_path: Path) -> None:
    script = tmp_path / "hook.sh"
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    made = parse_hook(str(script))
    assert run_hook(made, "s", stores, "complete") is None
    script.unlink()
    warning = run_hook(made, "s", stores, "complete")
    assert warning is not None
    assert "ended with 127 (" in warning
    assert "not found" in warning


def test_a_hook_that_takes_too_long_is_killed_with_all_that_it_started(
    stores: Stores, tmp_path: Path
) -> None:
    pipe, script = tmp_path / "pipe", tmp_path / "hook.sh"
    os.mkfifo(pipe)
    script.write_text(
        f"#!/bin/sh\nexec > '{pipe}'\necho started\nsleep 200 &\nwait\n", encoding="utf-8"
    )
    script.chmod(0o755)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        warning = run_hook(parse_hook(str(script)), "s", stores, "complete", time_limit=1.0)
        os.set_blocking(reader.fileno(), True)
        # It ends when nobody is left who could write: the child is gone too.
        assert reader.read() == b"started\n"
    assert warning is not None
    assert "was killed after 1 s" in warning


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program-here --now", "'no-such-program-here' is no program that can be run"),
        ("/etc/passwd", "'/etc/passwd' is no program"),
        ("notify 'me", "badly quoted"),
        ("", "is empty"),
        ("  ", "is empty"),
    ],
)
def test_what_cannot_be_run_is_refused_before_the_study(command: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        parse_hook(command)
    assert refused.value.exit_code == 2
    assert str(refused.value).startswith("on-finish: ")


def test_a_program_is_found_whatever_folder_the_study_ends_in(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "hook.sh"
    script.write_text(f"#!/bin/sh\ncat > '{tmp_path}/said'\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    made = parse_hook("./hook.sh")
    monkeypatch.chdir("/")
    assert run_hook(made, "s", stores, "complete") is None
    assert reported(tmp_path / "said")["study"] == "s"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (None, "complete"),
        (StudyIncomplete("x"), "incomplete"),
        (StudyInterrupted("x"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (ServiceUnreachable("x"), "failed"),
        (ValueError("x"), "failed"),
    ],
)
def test_the_state_follows_the_error(error: BaseException | None, state: State) -> None:
    assert ended_as(error) == state
