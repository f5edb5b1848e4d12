"""``safr-study reproduce``: what it lists, shows, writes and refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic_runs as runs

from safr_study.cli.app import main
from safr_study.data import encoded_corpus
from safr_study.features.paper.lines import RunLine, append_line
from safr_study.features.paper.rows import Item, RunRequest, paper, wanted_runs
from safr_study.features.paper.runs import reproduce
from safr_study.settings import CorpusSpec

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, over a small corpus of the paper's name; its exit code."""
    folder = tmp_path / "data" / "sst2-treebank"
    folder.mkdir(parents=True)
    for split, texts in (("train", 20), ("validation", 10), ("test", 10)):
        rows = [f"{'good' if i % 2 else 'bad'} film {i % 3},{i % 2}" for i in range(texts)]
        (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["safr-study", "reproduce", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return called


def finish(item: Item, folder: Path, *, seeds: int, preset: str = "masked") -> list[RunLine]:
    """All the runs of an item, near the paper's numbers, as lines."""
    spec = CorpusSpec(dataset="sst2-treebank")
    request = RunRequest(item, spec, seeds, "masked" if preset == "masked" else "reference", folder)
    wanted = wanted_runs(request, encoded_corpus(spec))
    near = {
        (line.row, line.seed): line for line in runs.table_lines(paper().rows, seeds, preset=preset)
    }
    lines = [
        replace(near[run.row, run.config.seed], key=run.key, corpus=run.corpus) for run in wanted
    ]
    return [append_line(folder, line) for line in lines]


def test_help_shows_examples_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['safr-study', 'reproduce', '--help']\n"
        "from safr_study.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = ('torch', 'ray', 'mlflow', 'datasets', 'pandas', 'matplotlib', 'scipy', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert "safr-study reproduce table1 --dataset sst2-treebank --seeds 5" in done.stdout


def test_a_dry_run_lists_what_is_missing(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("table1", "--seeds", "2", "--results", "results", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "table1 on sst2-treebank, preset masked: 6 runs, 0 of them in results" in shown
    assert shown.count("seed 0") == shown.count("seed 1") == 3
    finish("table1", tmp_path / "results", seeds=1)
    assert run("table1", "--seeds", "2", "--results", "results", "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["wanted"], len(plan["missing"])) == (6, 3)
    assert {run["seed"] for run in plan["missing"]} == {1}
    assert plan["missing"][0]["lambda_imp"] is None
    assert plan["seconds"] > 0
    # Another preset has runs of its own.
    preset = ("--preset", "reference", "--dry-run", "--json")
    assert run("table1", "--seeds", "1", "--results", "results", *preset) == 0
    assert len(json.loads(capsys.readouterr().out)["missing"]) == 3
    # As has another limit.
    limit = ("--test-limit", "6", "--dry-run", "--json")
    assert run("table1", "--seeds", "1", "--results", "results", *limit) == 0
    assert len(json.loads(capsys.readouterr().out)["missing"]) == 3


def test_results_are_in_the_home_by_default(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("table3", "--seeds", "1", "--home", "home", "--dry-run", "--json") == 0
    file = Path(json.loads(capsys.readouterr().out)["file"])
    assert file == tmp_path / "home" / "results" / "sst2-treebank-masked.jsonl"


ITEMS: tuple[Item, ...] = ("table1", "table2", "table3", "table6", "figure3")


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("width", [80, 110])
def test_what_is_finished_is_shown_within_the_width(
    item: Item,
    width: int,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("safr_study.cli.output._width", lambda _: width)
    finish(item, tmp_path / "results", seeds=3)
    assert run(item, "--seeds", "3", "--results", "results") == 0
    shown = capsys.readouterr()
    assert max(map(len, shown.out.splitlines())) <= width
    assert "…" not in shown.out
    said = " ".join(shown.out.split())
    assert "preset masked" in said
    assert "The test set is read for rows" in said
    assert "to do" not in shown.err


def test_every_kind_of_file_is_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish("table6", tmp_path / "results", seeds=2)
    arguments = ("--seeds", "2", "--results", "results", "--out", "out", "--json")
    assert run("table6", *arguments) == 0
    shown = capsys.readouterr()
    plain = json.loads(shown.out)
    stem = "table6-sst2-treebank-masked"
    assert [Path(path).name for path in plain["written"]] == [
        f"{stem}.{suffix}" for suffix in ("md", "tex", "csv", "png", "svg")
    ]
    assert all((tmp_path / path).stat().st_size > 500 for path in plain["written"])
    with (tmp_path / "out" / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 60
    assert len(plain["comparison"]["rows"]) == 15
    assert run("table6", "--seeds", "2", "--results", "results", "--out", "out") == 0
    assert "wrote out/table6-sst2-treebank-masked.md" in capsys.readouterr().err


def test_runs_that_fail_are_told_and_end_with_3(
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails = runs.drive_by(runs.do_but_fail_vmask)
    monkeypatch.setitem(reproduce.__kwdefaults__, "drive", fails)
    limits = ("--seeds", "1", "--results", "results", "--max-concurrent", "1")
    assert run("table1", *limits) == 3
    shown = capsys.readouterr()
    assert "baseline seed 0: accuracy" in shown.err
    assert "warning: vmask seed 0 failed: epoch 2" in shown.err
    assert "2 left" in shown.err
    assert shown.err.splitlines()[-1].startswith("error: 1 of 3 runs failed (vmask seed 0 failed")
    assert "No run of: vmask." in shown.out
    assert len(runs.file_lines(tmp_path / "results" / "sst2-treebank-masked.jsonl")) == 2


BAD = {
    "data without numbers in the paper": (
        ["table1", "--dataset", "planted"],
        "dataset: the paper has no numbers of 'planted'",
    ),
    "Table 2 of another data set": (["table2", "--dataset", "imdb"], "use table6"),
    "an unknown item": (["table9"], "table9"),
    "no seeds": (["table1", "--seeds", "0"], "--seeds"),
    "a limit of nothing": (["table1", "--test-limit", "0", "--dry-run"], "test_limit"),
    "broken lines": (["table1", "--results", "broken"], "results: "),
    "lines that are a folder": (["table1", "--results", "odd"], "results: "),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_use_is_one_sentence(
    name: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sst2-treebank-masked.jsonl").write_text('{"schema": 1}\n')
    (tmp_path / "odd" / "sst2-treebank-masked.jsonl").mkdir(parents=True)
    arguments, words = BAD[name]
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.strip().splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_data_that_are_nowhere_are_exit_4(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAFR_STUDY_DATA")
    assert run("table1", "--dry-run") == 4
    assert capsys.readouterr().err.startswith("error: dataset: ")
