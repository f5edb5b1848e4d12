from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from safr_study.cli.app import main
from safr_study.cli.output import called_as

HEAVY = ("torch", "ray", "mlflow", "optuna", "datasets", "pandas", "matplotlib")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, None]]:
    """Run the command line in this process, in a folder of its own; its exit code."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, None]:
        monkeypatch.setattr(sys, "argv", ["safr-study", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), None

    return called


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["search", "--help"], ["evaluate", "--help"], ["predict", "--help"]),
        ["--version"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['safr-study', *{arguments!r}]\n"
        "from safr_study.cli.app import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "safr-study" in done.stdout


@pytest.mark.parametrize("command", [["evaluate"], ["explain"], ["predict", "--out", "x.csv"]])
@pytest.mark.parametrize("model", ["nowhere", "safr-nothing@knee"])
def test_a_mistyped_model_is_refused_before_anything_heavy_is_imported(
    command: list[str], model: str, tmp_path: Path
) -> None:
    more = {"evaluate": [], "explain": ["a film"], "predict": ["x.txt"]}[command[0]]
    code = (
        "import sys\n"
        f"sys.argv = ['safr-study', *{[command[0], model, *more, *command[1:]]!r}]\n"
        "from safr_study.cli.app import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert ended.code == 2, ended.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr.startswith("error: model: ")
    assert not (tmp_path / ".safr-study" / "mlflow.db").exists()


def test_nothing_is_imported_from_where_the_user_stands(tmp_path: Path) -> None:
    names = ("colorsys", "secrets", "random", "typer", "rich", "pandas", "safr_study.cli")
    for name in names:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was run')")
    command = [sys.executable, "-m", "safr_study", "metrics"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "accuracy" in done.stdout
    control = subprocess.run([sys.executable, "-c", "import colorsys"], cwd=tmp_path, check=False)
    assert control.returncode == 1


def test_the_control_of_that_test_sees_a_heavy_import() -> None:
    code = f"import torch, sys; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" in done.stdout


@pytest.mark.parametrize(
    "more", [[], ["--allow-small", "--from", "nobody"], ["--allow-small", "--objective", "ap"]]
)
def test_a_refused_search_leaves_nothing_of_a_study(
    run: Callable[..., tuple[int, None]], tmp_path: Path, more: list[str]
) -> None:
    rows = [(f"film {number}", str(number % 2)) for number in range(40)]
    write_csv(tmp_path / "few.csv", rows, ("text", "label"))
    assert run("search", "--dataset", "few.csv", "--study", "s1", *more)[0] == 2
    home = tmp_path / ".safr-study"
    assert [path for path in home.rglob("*") if "s1" in path.name] == []
    assert list(home.rglob("*.journal")) == []


def test_every_command_shows_examples(
    run: Callable[..., tuple[int, None]], capsys: pytest.CaptureFixture[str]
) -> None:
    commands = ["search", "pareto", "list", "models", "promote", "pull", "evaluate"]
    for command in [*commands, "datasets", "spaces", "ui", "predict", "serve"]:
        code, _ = run(command, "--help")
        assert code == 0
        shown = capsys.readouterr().out
        assert "Example" in shown
        assert f"safr-study {command}" in shown


BAD = {
    "a missing file": (["search", "--dataset", "nowhere.csv"], "dataset: "),
    "an unknown column": (
        ["search", "--dataset", "good.csv", "--text-column", "nothing"],
        "text-column: ",
    ),
    "a file of one class": (["search", "--dataset", "one.csv"], "two classes or more are needed"),
    "a file with no usable text": (["search", "--dataset", "empty.csv"], "text"),
    "a space with low above high": (
        ["search", "--dataset", "planted", "--space", "bad.yaml"],
        "parameters.lambda_imp: low=2 is above high=1",
    ),
    "an unknown space": (["search", "--dataset", "planted", "--space", "lamda"], "space: 'lamda'"),
    "an unknown study": (["pareto", "nothing"], "study: 'nothing' is unknown"),
    "an unknown study to promote": (["promote", "nothing"], "study: 'nothing' is unknown"),
    "an unknown objective": (
        ["search", "--dataset", "planted", "--objective", "beauty"],
        "objective: 'beauty'",
    ),
    "one objective": (
        ["search", "--dataset", "planted", "--objective", "accuracy"],
        "two objectives or more",
    ),
    "a k of nothing": (["search", "--dataset", "planted", "--k", "0"], "objective: 'srs@0'"),
    "a study name with a slash": (
        ["search", "--dataset", "planted", "--study", "a/b"],
        "name: ",
    ),
    "no data set": (["search"], "--dataset"),
    "an unknown option": (["search", "--dataset", "planted", "--colour"], "--colour"),
    "an unknown command": (["serach"], "serach"),
    "a number that is none": (["search", "--dataset", "planted", "--trials", "few"], "--trials"),
    "no trials": (["search", "--dataset", "planted", "--trials", "0"], "--trials"),
    "a model that is no folder": (["evaluate", "nowhere"], "model: 'nowhere' is no folder"),
    "an empty folder as a model": (["evaluate", "empty"], "checkpoint"),
    "an unknown model": (["pull", "safr-nothing@knee", "--to", "there"], "safr-nothing"),
    "an unknown sampler": (["search", "--dataset", "planted", "--sampler", "psychic"], "--sampler"),
    "more CPUs than there are": (
        ["search", "--dataset", "planted", "--dry-run", "--cpus-per-trial", "4096"],
        "cpus-per-trial: 4096 is more than",
    ),
    "CPUs that are no number": (
        ["search", "--dataset", "planted", "--cpus-per-trial", "nan"],
        "resources: cpus_per_trial",
    ),
    "no CPUs": (["search", "--dataset", "planted", "--cpus-per-trial", "0"], "cpus_per_trial"),
    "a seed beyond all": (["search", "--dataset", "planted", "--seed", str(2**64)], "--seed"),
    "one objective under two names": (
        ["search", "--dataset", "planted", "--objective", "srs@30", "--objective", "srs@30.0"],
        "repeat",
    ),
    "a home that is a file": (["list", "--home", "good.csv"], "good.csv"),
    "half a prefetch": (["datasets", "prefetch"], "datasets: "),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_2(
    name: str,
    run: Callable[..., tuple[int, None]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_csv(
        tmp_path / "good.csv", [(f"word {i}", str(i % 2)) for i in range(20)], ("text", "label")
    )
    write_csv(tmp_path / "one.csv", [(f"word {i}", "1") for i in range(20)], ("text", "label"))
    write_csv(tmp_path / "empty.csv", [(" ", str(i % 2)) for i in range(20)], ("text", "label"))
    (tmp_path / "bad.yaml").write_text(
        "name: bad\nparameters:\n  lambda_imp: {type: float, low: 2, high: 1}\n", encoding="utf-8"
    )
    (tmp_path / "empty").mkdir()
    arguments, words = BAD[name]
    code, _ = run(*arguments)
    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_a_server_that_does_not_answer_is_exit_4(
    run: Callable[..., tuple[int, None]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run("models", "--tracking-uri", "http://127.0.0.1:9")
    assert code == 4
    assert capsys.readouterr().err.startswith("error: ")


def test_spaces_are_listed_and_checked(
    run: Callable[..., tuple[int, None]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("spaces", "--json")[0] == 0
    names = {space["name"] for space in json.loads(capsys.readouterr().out)["spaces"]}
    assert names >= {"lambda", "smoke"}
    assert run("spaces", "validate", "smoke")[0] == 0
    assert "smoke is valid" in capsys.readouterr().out
    (tmp_path / "bad.yaml").write_text(
        "name: bad\ncolour: red\nparameters:\n  dropout: {type: float, low: 2, high: 1}\n",
        encoding="utf-8",
    )
    assert run("spaces", "validate", "bad.yaml")[0] == 2
    faults = capsys.readouterr().err.strip().splitlines()
    assert len(faults) == 2
    assert all(fault.startswith("error: bad.yaml: ") for fault in faults)


def test_data_sets_are_listed_and_prefetched(
    run: Callable[..., tuple[int, None]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("datasets", "--json")[0] == 0
    names = {known["name"] for known in json.loads(capsys.readouterr().out)["datasets"]}
    assert names >= {"planted", "sst2", "sst2-treebank", "imdb"}
    assert run("datasets", "prefetch", "planted")[0] == 0
    assert "2,000 train / 500 dev / 1,000 test" in capsys.readouterr().out


def test_no_study_yet_is_said_kindly(
    run: Callable[..., tuple[int, None]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list")[0] == 0
    assert "No study yet" in capsys.readouterr().out
    assert run("list", "--json")[0] == 0
    assert json.loads(capsys.readouterr().out) == {"studies": []}


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ("/opt/env/bin/safr-study", ["/opt/env/bin/safr-study"]),
        ("/opt/site/safr_study/__main__.py", ["python3.12", "-m", "safr_study"]),
    ],
)
def test_what_to_do_next_can_be_copied_where_the_shell_does_not_know_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, expected: list[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [called, "search"])
    monkeypatch.setattr(sys, "orig_argv", ["python3.12", "-m", "safr_study", "search"])
    assert called_as() == expected


def test_what_to_do_next_names_the_program_where_the_shell_knows_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "safr-study"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/opt/site/safr_study/__main__.py"])
    assert called_as() == ["safr-study"]


def test_a_dry_run_as_json_has_what_is_planned(
    run: Callable[..., tuple[int, None]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    options = ("--space", "smoke", "--trials", "3", "--epochs", "2", "--study", "later")
    home = ("--home", str(tmp_path / "home"))
    code, _ = run("search", "--dataset", "planted", *options, *home, "--dry-run", "--json")
    assert code == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["name"], plan["trials"], plan["epochs"]) == ("later", 3, 2)
    assert plan["objectives"] == ["accuracy", "srs@30"]
    assert plan["allotment"]["max_concurrent"] >= 1
    assert plan["first"][0]["number"] == 0
    assert plan["first"][0]["run_on"] is False
