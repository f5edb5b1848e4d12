from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from stored_study import finished_study, study_spec

from safr_study.cli.app import main
from safr_study.home import open_home

NAMES = ["machine", "versions", "device", "home", "disk", "ledger", "tracking", "ray", "hub",
         "data sets"]  # fmt: skip
DEAD = "127.0.0.1:9"


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAFR_STUDY_DATA", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", "doctor", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return called


def checks(out: str) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(out)["checks"]}


def test_a_machine_that_can_run_a_study_is_said_to(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    finished_study(open_home(tmp_path / ".safr-study"), study_spec("s"), {0: (80.0, 5.0)})
    code, out, err = run("--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["ok"] is True
    found = checks(out)
    assert list(found) == NAMES
    assert "1 study" in found["ledger"]["found"]
    assert "switched off by HF_HUB_OFFLINE" in found["hub"]["found"]
    assert "torch 2." in found["versions"]["found"]
    assert "planted (built in)" in found["data sets"]["found"]
    # It has made no tracking database.
    assert not (tmp_path / ".safr-study" / "mlflow.db").exists()
    code, out, _ = run()
    assert code == 0
    assert "A study can run" in out
    assert run("--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("service", "arguments"),
    [
        ("tracking", ["--tracking-uri", f"http://{DEAD}"]),
        ("ledger", ["--storage", f"postgresql+psycopg://nobody@{DEAD}/x"]),
        ("ray", ["--address", DEAD]),
    ],
)
def test_a_named_service_that_does_not_answer_is_exit_4(
    run: Callable[..., tuple[int, str, str]], service: str, arguments: list[str]
) -> None:
    code, out, err = run("--json", *arguments)
    assert code == 4
    assert err == f"error: doctor: no answer from {service}; see the advice there\n"
    found = checks(out)[service]
    assert (found["state"], found["unreachable"]) == ("failed", True)
    assert found["advice"]
    assert json.loads(out)["ok"] is False
    shown = run("--quiet", *arguments)[1]
    assert shown.startswith(service)
    assert "wrong" in shown


def test_a_hub_that_was_named_counts_and_the_usual_one_does_not(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", f"http://{DEAD}")
    assert run()[0] == 4
    monkeypatch.setattr("safr_study.features.doctor._HUB", f"http://{DEAD}")
    monkeypatch.delenv("HF_ENDPOINT")
    code, out, _ = run("--json")
    assert code == 0
    assert checks(out)["hub"]["state"] == "warning"
    assert "SAFR_STUDY_DATA" in checks(out)["hub"]["advice"]


def test_a_folder_of_the_hub_that_cannot_be_written_is_named(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("safr_study.features.doctor._HUB", f"http://{DEAD}")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "file" / "huggingface"))
    code, out, _ = run("--json")
    assert code == 0
    assert (
        "file/huggingface, where what comes from the hub is kept, cannot be written"
        in (checks(out)["hub"]["found"])
    )
    assert "HF_HOME" in checks(out)["hub"]["advice"]
    monkeypatch.setenv("HF_HOME", str(tmp_path / "new" / "huggingface"))
    assert "does not answer" in checks(run("--json")[1])["hub"]["found"]
    assert not (tmp_path / "new").exists()


def test_a_library_out_of_range_is_named(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: "1.0" if n == "optuna" else real(n))
    code, out, _ = run("--json")
    assert code == 0
    assert checks(out)["versions"]["state"] == "warning"
    assert checks(out)["versions"]["found"] == "out of range: optuna 1.0 (needs <6,>=5.0)"


def test_what_has_to_be_mended_here_is_exit_2(
    run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", "/nowhere")
    code, out, err = run()
    assert code == 2
    assert "SAFR_STUDY_DATA names /nowhere" in out
    assert err.startswith("error: doctor: data sets must be mended")
