"""Finished runs on disk, and the runs that are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import synthetic_runs as runs
from filelock import FileLock
from plain_scores import changed, deletions_of

from safr_study.data import EncodedCorpus, encoded_corpus
from safr_study.errors import BadInput, StudyIncomplete, StudyInterrupted
from safr_study.features.paper.lines import (
    BASELINE_ROW,
    VMASK_ROW,
    Row,
    RunLine,
    append_line,
    line_path,
    read_file,
)
from safr_study.features.paper.rows import (
    Item,
    RunRequest,
    WantedRun,
    item_rows,
    row_config,
    training_key,
    wanted_runs,
)
from safr_study.features.paper.runs import (
    RunPlan,
    find_line,
    plan_runs,
    reproduce,
    run_missing,
)
from safr_study.home import Home, open_home
from safr_study.records.run import Answers, RunResult
from safr_study.runner.source import FixedSource
from safr_study.runner.task import RunTask
from safr_study.settings import CorpusSpec, EvaluationConfig

SAFR = Row(True, 1.0, 0.1)
ITEMS = get_args(Item)


def test_right_answers_in_a_line_are_readable_by_hand() -> None:
    full = np.array([1, 0, 1, 1, 0, 0, 0, 0, 1], bool)
    draws = np.repeat(full[None], 10, axis=0)
    right = Answers.pack(full, {0.3: (~full, draws)})
    plain = json.loads(runs.run_line(SAFR, 0, right=right).to_json())["right"]
    assert plain == {"examples": 9, "full": "b080", "top_30": "4f00", "random_30": "a0aa0000a"}
    again = RunLine.from_json(runs.run_line(SAFR, 0, right=right).to_json()).right
    assert again == right
    assert again.without_top(0.3).tolist() == (~full).tolist()
    shares = again.without_random(0.3)
    assert shares is not None
    assert shares.tolist() == full.tolist()


@pytest.mark.parametrize("row", [BASELINE_ROW, VMASK_ROW, SAFR])
def test_a_line_comes_back_as_it_was(row: Row) -> None:
    line = runs.run_line(row, 3)
    text = line.to_json()
    again = RunLine.from_json(text)
    # The scores alone have more decimals than a line.
    assert again == replace(line, test=again.test)
    assert again.test.value("log_loss") == 0.61234568  # 8 significant digits
    assert deletions_of(again.test)[3].srs == pytest.approx(
        deletions_of(line.test)[3].srs, abs=1e-6
    )
    assert again.effective.interaction == 4.25e-8  # what may be tiny keeps its digits
    assert again.learning_rate == 1e-4
    assert again.row == row
    assert again.to_json() == text
    plain = json.loads(text)
    assert plain["schema"] == 1
    assert plain["sentiment_capacity"]["with"] == 0.41
    assert plain["limits"] == {"train": None, "dev": None, "test": None}
    assert (plain["capacities"] is None) is not row.vmask
    assert list(plain)[:3] == ["schema", "key", "dataset"]


def broken(**changes: Any) -> str:
    plain = json.loads(runs.run_line(SAFR, 0).to_json())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = plain
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(plain)


FIELDS = list(json.loads(runs.run_line(SAFR, 0).to_json()))


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_may_be_missing(name: str) -> None:
    RunLine.from_json(broken())
    with pytest.raises(ValueError, match=f"(lacks|is missing|schema).*|{name}"):
        RunLine.from_json(broken(**{name: ...}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": "red"}, "unknown fields: colour"),
        ({"schema": 2}, "schema is 2"),
        ({"right__full": ...}, "lacks full"),
        ({"right__full": "00"}, "hexadecimal digits"),
        ({"capacities__pre__pad_in": ...}, "lacks pad_in"),
        ({"capacities__post__pad_out__all": ...}, "lacks all"),
        ({"evaluation__draws": ...}, "lacks draws"),
        ({"sentiment_capacity__with": ...}, "lacks with_sentiment"),
        ({"lambda_imp": None}, "null without VMASK"),
        ({"test__accuracy": ...}, "another form"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RunLine.from_json(broken(**changes))


def test_nan_never_becomes_a_line() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        runs.run_line(SAFR, 0, seconds=float("nan")).to_json()


def test_lines_are_appended_and_read_in_order(tmp_path: Path) -> None:
    lines = [runs.run_line(row, seed) for seed in (0, 1) for row in (BASELINE_ROW, SAFR)]
    other = runs.run_line(SAFR, 0, preset="reference")
    for line in [*lines, other]:
        append_line(tmp_path / "results", line)
    folder = tmp_path / "results"
    assert {path.name for path in folder.iterdir()} == {
        "sst2-treebank-masked.jsonl",
        "sst2-treebank-reference.jsonl",
    }
    found = runs.all_lines(folder)
    assert [(line.preset, line.row, line.seed) for line in found] == [
        (line.preset, line.row, line.seed) for line in [*lines, other]
    ]
    assert read_file(tmp_path / "nothing.jsonl") == ()


def test_a_torn_last_line_is_passed_over_and_mended(tmp_path: Path) -> None:
    first, second = runs.run_line(BASELINE_ROW, 0), runs.run_line(SAFR, 0)
    append_line(tmp_path, first)
    path = line_path(tmp_path, "sst2-treebank", "masked")
    whole = path.read_bytes()
    path.write_bytes(whole + second.to_json().encode()[:100])
    assert len(read_file(path)) == 1
    append_line(tmp_path, second)
    assert [line.row for line in read_file(path)] == [BASELINE_ROW, SAFR]
    assert path.read_bytes().startswith(whole)


def test_a_last_line_that_lacks_its_end_alone_is_kept(tmp_path: Path) -> None:
    append_line(tmp_path, runs.run_line(BASELINE_ROW, 0))
    path = line_path(tmp_path, "sst2-treebank", "masked")
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read_file(path)) == 1
    append_line(tmp_path, runs.run_line(SAFR, 0))
    assert [line.row for line in read_file(path)] == [BASELINE_ROW, SAFR]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    append_line(tmp_path, runs.run_line(BASELINE_ROW, 0))
    path = line_path(tmp_path, "sst2-treebank", "masked")
    path.write_text(path.read_text("utf-8") + "{}\n", encoding="utf-8")
    with pytest.raises(BadInput, match=r"results: .*line 2 is no run.*schema is None"):
        read_file(path)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"results: .*cannot be written"):
        append_line(tmp_path / "file", runs.run_line(SAFR, 0))


def request(item: Any, spec: CorpusSpec, **changes: Any) -> RunRequest:
    """One seed of an item, without a place for its lines."""
    fixed = {"seeds": 1, "preset": "masked", "results": Path("nowhere")}
    return RunRequest(item, spec, **{**fixed, **changes})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CorpusSpec:
    """A small corpus under the paper's name."""
    folder = tmp_path / "data" / "sst2-treebank"
    folder.mkdir(parents=True)
    for split, texts in (("train", 20), ("validation", 10), ("test", 10)):
        rows = [f"{'good' if i % 2 else 'bad'} film {i % 3},{i % 2}" for i in range(texts)]
        (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path / "data"))
    return CorpusSpec(dataset="sst2-treebank")


@pytest.fixture
def corpus(spec: CorpusSpec, home: Home) -> EncodedCorpus:
    return encoded_corpus(spec, home.corpora)


@pytest.fixture
def wanted(spec: CorpusSpec, corpus: EncodedCorpus) -> tuple[WantedRun, ...]:
    return wanted_runs(request("table1", spec), corpus)


@pytest.mark.parametrize(
    ("item", "dataset", "count"),
    [
        ("table1", "sst2-treebank", 3),
        ("figure3", "imdb", 3),
        ("table2", "sst2", 6),
        ("table6", "imdb", 15),
        ("table3", "imdb", 1),
    ],
)
def test_each_item_has_its_rows(item: Any, dataset: str, count: int) -> None:
    assert len(item_rows(item, dataset)) == count


def test_the_safr_row_is_that_of_the_data_set() -> None:
    assert [row.row for row in item_rows("table3", "sst2")] == [Row(True, 1, 0.1)]
    assert [row.row for row in item_rows("table3", "imdb")] == [Row(True, 0.01, 0.01)]


@pytest.mark.parametrize("item", ITEMS)
def test_data_without_numbers_in_the_paper_are_refused(item: Any) -> None:
    with pytest.raises(BadInput, match="dataset: the paper has no numbers of 'planted'"):
        item_rows(item, "planted")


def test_table_2_is_of_one_data_set() -> None:
    with pytest.raises(BadInput, match="Table 2 is of SST-2 alone"):
        item_rows("table2", "imdb")


def test_rows_are_picked_by_their_names_and_keep_the_paper_s_order(
    spec: CorpusSpec, corpus: EncodedCorpus
) -> None:
    only = ["safr(0.1, 0.1)", "vmask"]
    assert [entry.row.name for entry in item_rows("table6", "imdb", only)] == only[::-1]
    found = wanted_runs(request("table6", spec, seeds=2, only=(only[0],)), corpus)
    assert [run.label for run in found] == ["safr(0.1, 0.1) seed 0", "safr(0.1, 0.1) seed 1"]
    with pytest.raises(BadInput, match=r"table1 has no row 'vmsk'; it has baseline, vmask, safr"):
        item_rows("table1", "imdb", ["vmsk"])


def test_wanted_runs_go_seed_by_seed_with_the_paper_s_training(
    spec: CorpusSpec, corpus: EncodedCorpus
) -> None:
    found = wanted_runs(request("table6", spec, seeds=2, preset="reference"), corpus)
    assert [run.config.seed for run in found] == [0] * 15 + [1] * 15
    assert len({run.key for run in found}) == 30
    baseline, safr = found[0].config, found[10].config
    assert baseline.penalties.lambda_imp is None
    assert not baseline.shape.vmask
    assert (safr.penalties.lambda_imp, safr.penalties.lambda_inter) == (1.0, 0.1)
    assert (safr.preset, safr.epochs, safr.patience) == ("reference", 100, 3)
    assert found[10].key == training_key(safr, corpus)


def test_only_figure_3_and_table_3_ask_for_the_long_measuring(
    spec: CorpusSpec, corpus: EncodedCorpus
) -> None:
    long = {
        item: {run.extras for run in wanted_runs(request(item, spec), corpus)} for item in ITEMS
    }
    plain: set[tuple[str, ...]] = {()}
    assert long == {
        "table1": plain,
        "table2": plain,
        "table3": {("capacities",)},
        "table6": plain,
        "figure3": {("curve",)},
        "rationale": plain,
    }
    parts = {run.extras for run in wanted_runs(request("table1", spec, part=True), corpus)}
    assert parts == {("part",)}


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "0" * 16},
        {"corpus": "other"},
        {"evaluation": EvaluationConfig(draws=20)},
        {"evaluation": EvaluationConfig(mode="unk")},
    ],
)
def test_a_line_of_another_run_does_not_meet_it(
    wanted: tuple[WantedRun, ...], changes: dict[str, Any]
) -> None:
    line = runs.line_of(wanted[0])
    assert wanted[0].is_met_by(line)
    assert not wanted[0].is_met_by(replace(line, **changes))
    assert not wanted[1].is_met_by(line)


def test_a_line_without_the_curve_meets_only_who_needs_none(
    wanted: tuple[WantedRun, ...],
) -> None:
    line = runs.line_of(wanted[0])
    short = replace(line, test=changed(line.test, curve=None))
    assert wanted[0].is_met_by(short)
    assert not replace(wanted[0], extras=("curve",)).is_met_by(short)
    of_table_3 = replace(wanted[0], extras=("capacities",))
    assert not of_table_3.is_met_by(replace(line, capacities=None))
    of_part = replace(wanted[0], extras=("part",))
    assert not of_part.is_met_by(short)
    assert of_part.is_met_by(replace(short, of_part=line.test))
    # One that has more than is asked for serves as well, and the newest is taken.
    assert of_part.is_met_by(line)
    assert wanted[0].is_met_by(line)
    assert find_line(wanted[0], [short, line]) is line


def test_settings_of_training_and_evaluation_are_in_the_key(
    spec: CorpusSpec, corpus: EncodedCorpus
) -> None:
    def key(**changes: Any) -> str:
        return wanted_runs(request("table3", spec, **changes), corpus)[0].key

    assert len({key(), key(preset="reference"), key(epochs=9)}) == 3
    assert row_config(SAFR, preset="masked", seed=0).epochs == 100
    assert EvaluationConfig().draws == runs.DRAWS


def plan_of(wanted: tuple[WantedRun, ...], home: Home, folder: Path) -> RunPlan:
    """The plan of one seed of Table 1, with the lines that the folder has."""
    plan = plan_runs(RunRequest("table1", wanted[0].spec, 1, "masked", folder), home)
    assert plan.wanted == wanted
    return plan


def test_missing_runs_are_done_once(
    wanted: tuple[WantedRun, ...], home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    heard = runs.Heard()
    append_line(folder, runs.line_of(wanted[1]))
    plan = plan_of(wanted, home, folder)
    outcome = run_missing(plan, home, say=heard, drive=runs.drive_by(runs.line_of))
    assert [line.row for line in outcome[0]] == [run.row for run in wanted]
    assert heard.done == ["baseline seed 0", "safr(1, 0.1) seed 0"]
    assert heard.left == [1, 0]
    again = runs.Heard()
    # What would fail is not even tried.
    plan = plan_of(wanted, home, folder)
    drive = runs.drive_by(runs.do_but_fail_vmask)
    assert run_missing(plan, home, say=again, drive=drive) == outcome
    assert again.done == []
    assert len(runs.file_lines(line_path(folder, "sst2-treebank", "masked"))) == 3


def test_a_failed_run_does_not_end_the_others_and_stays_missing(
    wanted: tuple[WantedRun, ...], home: Home, tmp_path: Path
) -> None:
    heard, folder = runs.Heard(), tmp_path / "results"
    drive = runs.drive_by(runs.do_but_fail_vmask)
    done, failures = run_missing(plan_of(wanted, home, folder), home, say=heard, drive=drive)
    assert [line.row.name for line in done] == ["baseline", "safr(1, 0.1)"]
    assert [sentence.partition(" failed: ")[0] for sentence in failures] == ["vmask seed 0"]
    assert "not a finite number" in heard.troubles["vmask seed 0"]
    lines = runs.all_lines(folder)
    assert [find_line(run, lines) is None for run in wanted] == [False, True, False]


def test_the_line_of_another_run_is_never_kept(
    wanted: tuple[WantedRun, ...], home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    plan = plan_of(wanted, home, folder)
    with pytest.raises(RuntimeError, match="gave the line of another run"):
        run_missing(plan, home, say=runs.Heard(), drive=runs.drive_by(runs.do_another))
    assert runs.all_lines(folder) == []


def test_an_interruption_keeps_what_is_finished_and_the_command_resumes(
    wanted: tuple[WantedRun, ...], home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "results"

    def interrupted(source_for: Callable[[float], FixedSource], plan: RunPlan, home: Home) -> bool:
        source = source_for(0.0)
        task = source.next()
        assert task is not None
        line = runs.line_of(plan.missing[task.number])
        source.on_end(task, RunResult(*task.key, line=line.to_json()))
        return True

    plan = plan_of(wanted, home, folder)
    with pytest.raises(StudyInterrupted, match=r"1 of 3 runs in .*the same command goes on"):
        run_missing(plan, home, say=runs.Heard(), drive=interrupted)
    assert [line.row.name for line in runs.all_lines(folder)] == ["baseline"]
    heard = runs.Heard()
    plan = plan_of(wanted, home, folder)
    done, _ = run_missing(plan, home, say=heard, drive=runs.drive_by(runs.line_of))
    assert len(done) == 3
    assert "baseline seed 0" not in heard.done


def test_a_task_says_all_that_decides_a_runs_numbers(
    wanted: tuple[WantedRun, ...], home: Home, tmp_path: Path
) -> None:
    tasks: list[RunTask] = []

    def look(source_for: Callable[[float], FixedSource], plan: RunPlan, home: Home) -> bool:
        tasks.extend(iter(source_for(0.25).next, None))
        return False

    run_missing(plan_of(wanted, home, tmp_path / "results"), home, say=runs.Heard(), drive=look)
    assert [task.train for task in tasks] == [run.config for run in wanted]
    assert {(task.evaluation, task.gpus) for task in tasks} == {(EvaluationConfig(), 0.25)}
    folders = [home.checkpoints("reproduce") / run.key for run in wanted]
    assert [Path(task.folder) for task in tasks] == folders


def test_running_states_of_finished_runs_go(
    wanted: tuple[WantedRun, ...], home: Home, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    for run in wanted:
        (home.checkpoints("reproduce") / run.key / "state").mkdir(parents=True)
    # A driver was killed when it had written a line, and before it removed the state.
    append_line(folder, runs.line_of(wanted[0]))
    drive = runs.drive_by(runs.do_but_fail_vmask)
    run_missing(plan_of(wanted, home, folder), home, say=runs.Heard(), drive=drive)
    states = [(home.checkpoints("reproduce") / run.key / "state").exists() for run in wanted]
    assert states == [False, True, False], "a failed run may resume"


def test_the_plan_counts_and_estimates(
    spec: CorpusSpec, home: Home, wanted: tuple[WantedRun, ...], tmp_path: Path
) -> None:
    request = RunRequest("table1", spec, 2, "masked", tmp_path / "results", workers=5)
    empty = plan_runs(request, home)
    assert (len(empty.wanted), len(empty.missing), empty.workers) == (6, 6, 5)
    assert empty.seconds is None
    for run in wanted:
        append_line(request.results, runs.line_of(run))
    plan = plan_runs(request, home)
    assert [run.label for run in plan.missing] == [
        "baseline seed 1",
        "vmask seed 1",
        "safr(1, 0.1) seed 1",
    ]
    # Lines of 60 s each; three more, three at once.
    assert (plan.workers, plan.seconds) == (3, 60.0)


def test_an_item_without_any_run_is_incomplete(
    spec: CorpusSpec, home: Home, tmp_path: Path
) -> None:
    request = RunRequest("table3", spec, 1, "masked", tmp_path / "results")
    with pytest.raises(StudyIncomplete, match=r"no run of table3 .* seed 0 failed: .*not a finite"):
        reproduce(
            request,
            home,
            say=runs.Heard(),
            drive=runs.drive_by(lambda _: "epoch 1: the loss is not a finite number"),
        )


def test_two_processes_do_not_fill_one_file(spec: CorpusSpec, home: Home, tmp_path: Path) -> None:
    request = RunRequest("table3", spec, 1, "masked", tmp_path / "results")
    lock = tmp_path / "results" / ".sst2-treebank-masked.lock"
    lock.parent.mkdir()
    with FileLock(lock), pytest.raises(BadInput, match=r"results: .*another process"):
        reproduce(request, home, say=runs.Heard(), drive=runs.drive_by(runs.line_of))
