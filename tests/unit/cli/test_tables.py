"""What every command prints on a terminal of 80 columns, without colour, and with --quiet."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from registered import registered_home
from stored_study import ask, finished_study, study_spec

from safr_study.cli import output
from safr_study.cli.app import main
from safr_study.home import Home

STUDY = "treebank-lambda-2026"
COMMANDS = {
    "list": ["list"],
    "status of all": ["status"],
    "status": ["status", STUDY],
    "pareto": ["pareto", STUDY],
    "compare": ["compare", STUDY, "other"],
    "models": ["models"],
    "datasets": ["datasets"],
    "spaces": ["spaces"],
    "metrics": ["metrics"],
    "clean": ["clean", "--dry-run"],
    "explain": ["explain", "models:/safr-planted@knee", "the film was good , and bad ." * 5],
    "doctor": ["doctor"],
}
PROSE = (
    "Go on with it: ",
    "All hypervolumes are ",
    "On joint: ",
    "The front has no knee: ",
    "No trial beats ",
)
COLOUR = re.compile(r"\x1b\[[\d;]*\b(3[0-7]|4[0-7]|9[0-7]|38;|48;)[\d;]*m")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Registered models, and a study of 26 trials with large numbers."""
    home = registered_home(tmp_path_factory.mktemp("tables"))
    values = {n: (80.0 - n / 3, 5.0 + n) for n in range(25)}
    ask(finished_study(home, study_spec(STUDY, trials=1024), values))
    finished_study(home, study_spec("other", seed=1), {0: (70.0, 20.0)})
    return home


@pytest.fixture
def run(
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., tuple[str, str]]:
    """Output and errors of a command that ends well."""
    monkeypatch.setenv("SAFR_STUDY_HOME", str(home.root))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(output, "_quiet", False)
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out, said.err

    return called


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_is_wider_than_80_columns(name: str, run: Callable[..., tuple[str, str]]) -> None:
    out, _ = run(*COMMANDS[name])
    assert out.strip()
    # A command to be copied and a sentence of prose stay on one line, which a terminal breaks.
    lines = [line for line in out.splitlines() if not line.startswith(PROSE)]
    wide = [line for line in lines if len(line.rstrip()) > 80]
    assert wide == []


def test_a_narrow_table_keeps_its_numbers_whole(run: Callable[..., tuple[str, str]]) -> None:
    for command in (["list"], ["pareto", STUDY], ["status", STUDY], ["models"]):
        out, _ = run(*command)
        assert "…" not in out
    ranking = run("pareto", STUDY)[0]
    for number in range(25):
        assert re.search(rf"\b{number}\b.*\b{80 - number / 3:.2f}\s+{5 + number:.2f}\b", ranking)
    listed = run("list")[0]
    assert re.search(r"\b1024\b.*\b25\b", listed)


@pytest.mark.parametrize("name", ["pareto", "explain", "doctor"])
def test_no_color_is_honoured(
    name: str, run: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(run(*COMMANDS[name])[0])
    if name != "pareto":
        # The control: it has colours otherwise.
        monkeypatch.delenv("NO_COLOR")
        assert COLOUR.search(run(*COMMANDS[name])[0])


def test_quiet_leaves_the_result_and_takes_the_hints(
    run: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    out, err = run("pull", "safr-planted@knee", "--to", "one")
    assert "next: safr-study evaluate" in err
    quiet, nothing = run("--quiet", "pull", "safr-planted@knee", "--to", "two")
    assert nothing == ""
    assert quiet == out.replace("one", "two")
    assert (tmp_path / "two" / "weights.safetensors").is_file()


def test_quiet_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    output.warn("the disk is nearly full")
    assert capsys.readouterr().err == "warning: the disk is nearly full\n"
