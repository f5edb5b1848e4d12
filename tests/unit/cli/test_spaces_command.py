from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from safr_study.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process: exit code, standard output on one line, errors."""

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), " ".join(shown.out.split()), shown.err

    return called


def test_the_list_says_what_each_space_varies_and_asks(run: Run) -> None:
    code, out, _ = run("spaces")
    assert code == 0
    for word in ("full", "lambda", "paper_table6", "smoke", "majority", "gumbel_temperature"):
        assert word in out


def test_json_has_the_constraints_as_texts_and_the_points(
    run: Run,
) -> None:
    _, out, _ = run("spaces", "--json")
    spaces = {space["name"]: space for space in json.loads(out)["spaces"]}
    assert spaces["full"]["constraints"] == ["accuracy >= majority + 5"]
    assert len(spaces["paper_table6"]["points"]) == 13


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("full", "9 parameters (vmask, lambda_imp,"),
        ("full", "constraints (accuracy >= majority + 5), 2 baselines"),
        ("paper_table6", "13 points for the grid"),
        ("lambda", "2 parameters (lambda_imp, lambda_inter), 2 baselines"),
    ],
)
def test_a_valid_space_is_summed_up(name: str, words: str, run: Run) -> None:
    code, out, _ = run("spaces", "validate", name)
    assert code == 0
    assert words in out


def test_all_faults_of_a_file_are_lines_of_their_own(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: x\n"
        "colour: red\n"
        "parameters:\n"
        "  lambda_imp: {type: float, low: 2, high: 1}\n"
        "  lambda_inter: {type: float, zero: 0.2}\n"
        "  dropout: {type: float, low: 0, high: 0.5, when: {layers: 2}}\n"
        "  layers: {type: int, low: 1, high: 2}\n"
        "  foo: {type: int, low: 1, high: 2}\n"
        "constraints: [accuracy above 5]\n",
        "utf-8",
    )
    code, out, err = run("spaces", "validate", str(file))
    assert (code, out) == (2, "")
    lines = err.strip().splitlines()
    assert len(lines) == 7
    assert all(line.startswith(f"error: {file}: ") for line in lines)
