"""``confirm``, end to end: a real search, its front under new seeds, interrupted, gone on with."""

from __future__ import annotations

import csv
import signal
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import pytest
from commands import Ended, command_line, environment, safr

import safr_study as ss
from safr_study.features.study_base.results import rank_ledger
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import confirmed_runs, readings_of_test
from safr_study.ledger.storage import open_storage
from safr_study.records import TrialState
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import open_store

STUDY = "c1"
SEARCH = (
    *("search", "--dataset", "planted", "--study", STUDY, "--space", "smoke", "--seed", "5"),
    *("--train-limit", "300", "--dev-limit", "200", "--trials", "4", "--epochs", "1"),
    *("--sampler", "random", "--scheduler", "none"),
)
CONFIRM = ("confirm", STUDY, "--seeds", "2")
NEW_SEEDS = [6, 7]
BASELINES = {0, 1}
ROLES = ("knee", "compromise", "best-accuracy", "best-srs")


def ledger(home: Path) -> Ledger:
    storage = open_storage(open_home(home), None, STUDY, create=False)
    assert storage is not None
    loaded = Ledger.load(storage, STUDY)
    assert loaded is not None
    return loaded


def holders(home: Path) -> dict[str, dict[str, str]]:
    """The tags of the version behind each alias."""
    models = list_models(open_store(open_home(home)))
    return {alias: dict(model.tags) for model in models for alias in model.aliases}


def runs_of(home: Path, kind: str) -> list[Any]:
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    return list(client.search_runs(ids, f"tags.`safr.kind` = '{kind}'"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A searched study."""
    folder = tmp_path_factory.mktemp("confirm") / "home"
    ended = safr(folder, *SEARCH)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture(scope="module")
def wanted(home: Path) -> set[tuple[int, int]]:
    """Trial and seed of every run: the front and the baselines under the new seeds."""
    front = {ranked.trial.number for ranked in rank_ledger(ledger(home)).front}
    return {(number, seed) for number in front | BASELINES for seed in NEW_SEEDS}


@pytest.fixture(scope="module")
def interrupted(home: Path, wanted: set[tuple[int, int]]) -> tuple[int, list[str]]:
    """The command, stopped with Ctrl-C after its first run: exit code, and what it said."""
    said: list[str] = []
    with subprocess.Popen(
        command_line(*CONFIRM, "--max-concurrent", "1"),
        env=environment(home),
        cwd=home.parent,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            # Once: a second Ctrl-C is for those who cannot wait for the sentence.
            if line.startswith("trial ") and not any(one.startswith("trial ") for one in said):
                process.send_signal(signal.SIGINT)
            said.append(line)
    return process.returncode, said


@pytest.fixture(scope="module")
def begun(home: Path, interrupted: tuple[int, list[str]]) -> dict[tuple[int, int], Any]:
    """What the ledger had then."""
    assert not readings_of_test(ledger(home)), "the test set was read before all runs were there"
    return dict(confirmed_runs(ledger(home)))


@pytest.fixture(scope="module")
def resumed(home: Path, begun: dict[tuple[int, int], Any]) -> Ended:
    """The same command once more, to its end."""
    return safr(home, *CONFIRM, "--json", "--out", str(home.parent / "figures"))


def test_a_dry_run_says_what_is_missing_and_writes_nothing(
    home: Path, wanted: set[tuple[int, int]]
) -> None:
    before = (home / "ledgers" / f"{STUDY}.journal").read_bytes()
    ended = safr(home, *CONFIRM, "--dry-run", "--json")
    assert ended.code == 0, ended.err
    missing = {(one["trial"], one["seed"]) for one in ended.json["missing"]}
    if not confirmed_runs(ledger(home)):
        assert missing == wanted
    assert ended.json["seeds"] == NEW_SEEDS
    assert (home / "ledgers" / f"{STUDY}.journal").read_bytes() == before


def test_an_interrupted_one_ends_with_130_and_keeps_what_was_finished(
    interrupted: tuple[int, list[str]],
    begun: dict[tuple[int, int], Any],
    wanted: set[tuple[int, int]],
) -> None:
    code, said = interrupted
    assert code == 130, said
    assert f"was interrupted with {len(begun)} of {len(wanted)} runs in the ledger" in said[-1]
    assert "Traceback" not in "".join(said)
    assert 1 <= len(begun) < len(wanted)


def test_the_same_command_goes_on_and_pays_for_nothing_twice(
    home: Path,
    begun: dict[tuple[int, int], Any],
    resumed: Ended,
    wanted: set[tuple[int, int]],
) -> None:
    assert resumed.code == 0, resumed.err
    assert f"{len(begun)} of them in the ledger" in resumed.err
    runs = confirmed_runs(ledger(home))
    assert set(runs) == wanted
    for key, before in begun.items():
        assert (runs[key].ended, runs[key].dev) == (before.ended, before.dev)
    # Each is another training than the search's of the same trial.
    for trial in ledger(home).trials():
        assert trial.state is TrialState.COMPLETE
        shas = {run.checkpoint.sha256 for run in runs.values() if run.trial == trial.number}
        assert trial.checkpoint is not None
        assert trial.checkpoint.sha256 not in shas
        assert len(shas) in (0, len(NEW_SEEDS))


def test_of_every_run_the_model_is_kept_and_no_running_state(
    home: Path, resumed: Ended, wanted: set[tuple[int, int]]
) -> None:
    folders = sorted((home / "checkpoints").glob("*/confirm/*"))
    assert [folder.name for folder in folders] == [f"{t:05d}-{seed}" for t, seed in sorted(wanted)]
    for folder in folders:
        assert sorted(path.name for path in folder.iterdir()) == ["model"]
    # What a killed driver left goes with the next call, though it has nothing to train.
    left = folders[0] / "state"
    left.mkdir()
    assert safr(home, *CONFIRM, "--json").code == 0
    assert not left.exists()


def test_the_document_has_the_means_of_the_ledgers_runs(home: Path, resumed: Ended) -> None:
    runs, document = confirmed_runs(ledger(home)), resumed.json
    for row in document["trials"]:
        for axis, name in enumerate(("accuracy", "srs@30")):
            points = [runs[row["trial"], seed].values[axis] for seed in NEW_SEEDS]
            assert row["dev"][name]["points"] == points
            assert row["dev"][name]["mean"] == pytest.approx(sum(points) / len(points))
            assert row["dev"][name]["low"] <= row["dev"][name]["mean"] <= row["dev"][name]["high"]
            assert row["test"][name]["mean"] is not None
        for name in ("contrast@30", "comprehensiveness@30", "average_precision"):
            assert row["beside"]["dev"][name]["low"] <= row["beside"]["dev"][name]["mean"]
            assert row["beside"]["test"][name]["mean"] is not None
        assert 0 <= row["front_probability"] <= 1
    searched = {trial.number: trial.values for trial in ledger(home).trials()}
    for row in document["trials"]:
        assert row["dev"]["accuracy"]["search"] == searched[row["trial"]][0]


def test_the_test_set_was_read_once_and_after_the_choice(
    home: Path, resumed: Ended, wanted: set[tuple[int, int]]
) -> None:
    (reading,) = readings_of_test(ledger(home))
    assert set(reading.runs) == wanted
    if resumed.json["unbeaten"] is None:
        assert dict(reading.chosen)["best-accuracy"] in resumed.json["front"]
    else:
        assert reading.chosen == {}
    assert "reading the test set: 1,000 texts" in resumed.err
    assert f"measured on test; {len(wanted) - 1} left" in resumed.err
    runs = confirmed_runs(ledger(home))
    assert {run.test_read for run in runs.values()} == {reading.at}


def test_the_aliases_are_the_confirmed_models_and_stay_so(home: Path, resumed: Ended) -> None:
    found = holders(home)
    front = {str(number) for number in resumed.json["front"]}
    assert ("best-accuracy" in found) == (resumed.json["unbeaten"] is None)
    for role in ROLES:
        for alias in (role, f"{STUDY}-{role}"):
            if alias in found:
                assert found[alias]["trial"] in front
                assert int(found[alias]["seed"]) in NEW_SEEDS
                assert found[alias]["confirmed_seeds"] == "2"
    repeated = safr(home, *SEARCH)
    assert repeated.code == 0, repeated.err
    assert holders(home) == found


def test_whoever_looks_at_the_study_or_its_models_is_told_of_the_new_seeds(
    home: Path, resumed: Ended
) -> None:
    status = safr(home, "status", STUDY)
    assert (
        "Confirmed with 2 new seeds: safr-study confirm c1 --seeds 2 shows the means"
        in " ".join(status.out.split())
    )
    assert "2 new seeds" in safr(home, "models").out


def test_every_run_is_a_child_of_the_study_in_mlflow(
    home: Path, resumed: Ended, wanted: set[tuple[int, int]]
) -> None:
    (parent,) = runs_of(home, "study")
    children = runs_of(home, "confirm")
    keys = {(int(r.data.tags["safr.trial"]), int(r.data.tags["safr.seed"])) for r in children}
    assert keys == wanted
    assert len(children) == len(wanted)
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {parent.info.run_id}
    assert {r.info.status for r in children} == {"FINISHED"}
    assert len(runs_of(home, "trial")) == 4


def test_the_files_are_written(home: Path, resumed: Ended, wanted: set[tuple[int, int]]) -> None:
    folder = home.parent / "figures"
    names = {f"{STUDY}-confirmed{end}" for end in (".md", ".csv", "-runs.csv", ".png", ".svg")}
    assert {path.name for path in folder.iterdir()} == names
    assert {Path(path).name for path in resumed.json["written"]} == names
    with (folder / f"{STUDY}-confirmed-runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(int(row["trial"]), int(row["seed"])) for row in rows} == wanted


def test_python_has_the_same_rows_without_training_again(
    home: Path, resumed: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    runs = confirmed_runs(ledger(home))
    found = ss.open_study(STUDY, home=home).confirm(2, quiet=True)
    rows = {row["trial"]: row for row in resumed.json["trials"]}
    assert list(found["trial"]) == list(rows)
    for _, row in found.iterrows():
        of = rows[row["trial"]]
        assert row["accuracy_mean"] == pytest.approx(of["dev"]["accuracy"]["mean"])
        assert row["test_srs_30_low"] == pytest.approx(of["test"]["srs@30"]["low"])
    assert confirmed_runs(ledger(home)) == runs


def test_a_dead_tracking_server_is_exit_4_and_what_is_kept_is_shown_without_a_new_reading(
    home: Path, resumed: Ended
) -> None:
    runs, readings = confirmed_runs(ledger(home)), readings_of_test(ledger(home))
    ended = safr(home, *CONFIRM, "--tracking-uri", "http://127.0.0.1:9")
    assert ended.code == 4
    assert "On dev, 200 texts" in ended.out
    assert "It is not read again for these models" in " ".join(ended.out.split())
    assert ended.err.strip().splitlines()[-1].startswith("error: tracking: nothing answers at")
    assert "the same command registers its models and moves the aliases" in ended.err
    assert "Traceback" not in ended.err
    assert (confirmed_runs(ledger(home)), readings_of_test(ledger(home))) == (runs, readings)
