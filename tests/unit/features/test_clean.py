"""What ``clean`` takes and, above all, what it leaves: compared file by file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from stored_study import (
    ask,
    begin,
    complete,
    files,
    finished_study,
    stop_early,
    study_spec,
    write_state,
)
from study_holder import holder

from safr_study.checkpoint.model_files import load_model
from safr_study.errors import BadInput
from safr_study.features.clean import Cleaning, CleanRequest, clean, plan_cleaning
from safr_study.features.study_base.results import load_ledger, load_result, write_result
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import driver_lock
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import close_storage
from safr_study.render.result_tables import result_json

LOCKS = (".lock", ".driver")
VALUES = {
    0: (60.0, 1.0),  # no-vmask, dominated
    1: (65.0, 2.0),  # vmask-only, dominated
    2: (80.0, 10.0),
    3: (70.0, 20.0),
    4: (69.0, 9.0),  # dominated
}
FRONT_AND_BASELINES = (0, 1, 2, 3)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def stores(home: Home) -> Stores:
    return Stores(home)


@pytest.fixture
def study(home: Home) -> Ledger:
    """Finished: 5 complete trials with models, 1 stopped, and a failed one; some left states."""
    ledger = finished_study(home, study_spec(trials=6), VALUES)
    ask(ledger, 2)
    stop_early(ledger, 5)
    ledger.fail(6, "a sentence")
    for number in (2, 5, 6):
        write_state(folder(home, ledger, number) / "state")
    write_state(folder(home, ledger, 5) / "state-7")
    write_state(folder(home, ledger, 4) / ".model-0123")
    (folder(home, ledger, 6) / "error.txt").write_text("a trace", encoding="utf-8")
    write_state(folder(home, ledger, 2).parent / "confirm" / "00002-1" / "state")
    write_state(home.artifacts / "1" / "run" / "state")
    return ledger


ENDED = ("00002/state", "00004/.model-0123", "00005/state", "00005/state-7", "00006/state")


def folder(home: Home, ledger: Ledger, number: int) -> Path:
    return home.checkpoints(ledger.uid) / f"{number:05d}"


def run(stores: Stores, **asked: object) -> Cleaning:
    request = CleanRequest(**asked)  # type: ignore[arg-type]
    return clean(plan_cleaning(request, stores), request, stores)


def gone(before: dict[str, bytes], home: Home) -> set[str]:
    """Folders of the files that are no more; all others are as they were."""
    after = files(home.root, LOCKS)
    assert {path: before[path] for path in after} == after
    return {str(Path(path).parent) for path in before.keys() - after.keys()}


def test_states_of_ended_trials_go_and_nothing_else(
    study: Ledger, home: Home, stores: Stores
) -> None:
    before = files(home.root, LOCKS)
    plan = plan_cleaning(CleanRequest(), stores)
    assert files(home.root, LOCKS) == before
    expected = {f"checkpoints/{study.uid}/{part}" for part in ENDED}
    assert {str(one.path.relative_to(home.root)) for one in plan.removals} == expected
    assert plan.size == sum(len(before[p]) for p in before if str(Path(p).parent) in expected)
    done = run(stores)
    assert gone(before, home) == expected
    assert (set(done.removals), done.kept, done.failed) == (set(plan.removals), [], [])
    assert run(stores).removals == []


def test_models_off_the_front_go_when_they_are_asked_for(
    study: Ledger, home: Home, stores: Stores, tmp_path: Path
) -> None:
    run(stores)
    before = files(home.root, LOCKS)
    ranking = result_json(load_result("s", stores))
    run(stores, models=True)
    assert gone(before, home) == {f"checkpoints/{study.uid}/00004/model"}
    for number in FRONT_AND_BASELINES:
        assert load_model(folder(home, study, number) / "model").epoch == 2
    # All that the ledger tells stays readable, and so do its pictures.
    assert result_json(load_result("s", stores)) == ranking
    assert len(write_result(load_result("s", stores), tmp_path / "out")) == 6


def test_an_unfinished_study_keeps_its_models_and_what_it_goes_on_with(
    home: Home, stores: Stores
) -> None:
    ledger = finished_study(home, study_spec(trials=6), VALUES)
    ask(ledger)
    write_state(folder(home, ledger, 5) / "state")
    before = files(home.root, LOCKS)
    done = run(stores, models=True)
    assert gone(before, home) == set()
    assert done.kept == ["study 's' is not finished: it keeps its models"]
    # With all its trials, but one of them begun, it is not finished either.
    ledger.update_spec(study_spec(trials=5))
    assert run(stores, models=True).removals == []


def test_a_study_that_somebody_runs_is_left_alone(
    study: Ledger, home: Home, stores: Stores
) -> None:
    write_state(home.scratch / study.uid / "tune")
    request = CleanRequest(models=True, caches=True)
    write_state(home.corpora / "0123")
    plan = plan_cleaning(request, stores)
    assert len(plan.removals) == len(ENDED) + 3
    before = files(home.root, LOCKS)
    with holder(home.root, "s"):
        idle = plan_cleaning(request, stores)
        assert idle.removals == []
        assert idle.kept[0] == "study 's' is running: nothing of it is touched"
        # It began after the plan was shown.
        done = clean(plan, request, stores)
        assert gone(before, home) == {"cache/corpora/0123"}
        assert "has begun to run" in done.kept[-1]


def test_only_what_was_shown_goes(study: Ledger, home: Home, stores: Stores) -> None:
    request = CleanRequest()
    plan = plan_cleaning(request, stores)
    write_state(folder(home, study, 3) / "state")
    before = files(home.root, LOCKS)
    clean(plan, request, stores)
    assert f"checkpoints/{study.uid}/00003/state" not in gone(before, home)
    assert len(run(stores).removals) == 1


def test_of_a_superseded_generation_nothing_goes_on(home: Home, stores: Stores) -> None:
    old = finished_study(home, study_spec(trials=9), VALUES)
    ask(old)
    write_state(folder(home, old, 5) / "state")
    new = begin(home, study_spec())
    ask(new)
    write_state(folder(home, new, 0) / "state")
    before = files(home.root, LOCKS)
    run(stores)
    assert gone(before, home) == {f"checkpoints/{old.uid}/00005/state"}
    before = files(home.root, LOCKS)
    run(stores, models=True)
    assert gone(before, home) == {f"checkpoints/{old.uid}/00004/model"}


def test_one_study_alone(study: Ledger, home: Home, stores: Stores) -> None:
    other = begin(home, study_spec("other"))
    ask(other)
    other.fail(0, "a sentence")
    write_state(folder(home, other, 0) / "state")
    before = files(home.root, LOCKS)
    run(stores, study="other")
    assert gone(before, home) == {f"checkpoints/{other.uid}/00000/state"}
    with pytest.raises(BadInput, match="'nothing' is unknown"):
        plan_cleaning(CleanRequest(study="nothing"), stores)


def test_scratch_of_a_dead_driver_goes_and_that_of_a_live_one_stays(
    home: Home, stores: Stores
) -> None:
    """Of a study in a database that is not even looked at, too."""
    dead, live = home.scratch / "s-00000000", home.scratch / "t-00000000"
    for one in (dead, live, home.scratch / "not of a study"):
        write_state(one / "tune")
    before = files(home.root, LOCKS)
    with driver_lock(home, "t", f"sqlite:///{home.root.parent / 'ledger.db'}"):
        done = run(stores)
    assert gone(before, home) == {"ray/s-00000000/tune"}
    assert not dead.exists()
    assert done.kept == ["study 't' is running: nothing of it is touched"]


def test_checkpoints_go_with_the_ledger_that_was_removed(
    study: Ledger, home: Home, stores: Stores
) -> None:
    with driver_lock(home, "s"):
        pass
    home.ledger("s").unlink()
    run(stores)
    assert not home.checkpoints(study.uid).exists()


def test_checkpoints_of_a_ledger_elsewhere_are_no_orphans(home: Home, tmp_path: Path) -> None:
    url, other = (f"sqlite:///{tmp_path / name}.db" for name in ("ledger", "other"))
    with driver_lock(home, "s", url):
        ledger = finished_study(home, study_spec(trials=5), VALUES, url)
        write_state(folder(home, ledger, 0) / "state")
    close_storage(ledger.storage)
    # Of a home that knows nothing of where its ledger was.
    write_state(home.checkpoints("unknown-00000000") / "00000" / "state")
    before = files(home.root, LOCKS)
    for stores in (Stores(home), Stores(home, storage_url=other)):
        done = run(stores, models=True)
        assert gone(before, home) == set()
        assert [sentence.partition(" is of no ledger")[0] for sentence in done.kept] == [
            str(home.checkpoints(uid)) for uid in (ledger.uid, "unknown-00000000")
        ]
    run(Stores(home, storage_url=url))
    assert gone(before, home) == {f"checkpoints/{ledger.uid}/00000/state"}


def test_a_ledger_that_cannot_be_read_keeps_its_files(
    study: Ledger, home: Home, stores: Stores
) -> None:
    with driver_lock(home, "s"):
        pass
    home.ledger("s").write_text("this is no journal\n{}\n", encoding="utf-8")
    before = files(home.root, LOCKS)
    done = run(stores, models=True)
    assert gone(before, home) == set()
    assert "its files are kept" in done.kept[0]


@pytest.mark.parametrize("link", ["checkpoints", "study", "trial", "state", "ray", "ledgerless"])
def test_no_link_leads_out_of_the_home(
    study: Ledger, home: Home, stores: Stores, tmp_path: Path, link: str
) -> None:
    with driver_lock(home, "s"):
        pass
    outside = tmp_path / "outside"
    moved = {
        "checkpoints": home.checkpoints("x").parent,
        "study": home.checkpoints(study.uid),
        "trial": folder(home, study, 5),
        "state": folder(home, study, 5) / "state",
        "ray": home.scratch,
        "ledgerless": home.checkpoints("s-ffffffff"),
    }[link]
    write_state(home.scratch / study.uid / "tune")
    if link == "ledgerless":
        write_state(outside)
    else:
        shutil.move(moved, outside)
    moved.symlink_to(outside)
    before = files(outside)
    assert before
    done = run(stores, models=True)
    assert files(outside) == before
    assert moved.is_symlink()
    assert not [one for one in done.removals if one.path.is_relative_to(moved)]
    # The control: what is not behind the link went.
    assert done.removals


def test_a_link_inside_a_folder_goes_and_what_it_leads_to_stays(
    study: Ledger, home: Home, stores: Stores, tmp_path: Path
) -> None:
    precious = write_state(tmp_path / "precious")
    state = folder(home, study, 5) / "state"
    size = plan_cleaning(CleanRequest(), stores).size
    (state / "link").symlink_to(precious)
    assert plan_cleaning(CleanRequest(), stores).size < size + 1000
    before = files(precious)
    run(stores)
    assert not state.exists()
    assert files(precious) == before


def test_cached_corpora_go_when_they_are_asked_for(home: Home, stores: Stores) -> None:
    entry, used, torn = (home.corpora / name for name in ("0123", "4567", "0123.abcd"))
    for one in (entry, used, torn):
        write_state(one)
    before = files(home.root, LOCKS)
    assert run(stores).removals == []
    with FileLock(used.with_suffix(".lock")):
        done = run(stores, caches=True)
    assert done.kept == [f"{used} is being used"]
    assert gone(before, home) == {"cache/corpora/0123", "cache/corpora/0123.abcd"}


def test_no_cache_goes_while_a_study_runs(home: Home, stores: Stores) -> None:
    write_state(home.corpora / "0123")
    with driver_lock(home, "s"):
        done = run(stores, caches=True)
    assert done.removals == []
    assert done.kept == ["study 's' is running: the cached corpora are kept"]


def test_a_cleaned_study_goes_on(home: Home, stores: Stores) -> None:
    ledger = finished_study(home, study_spec(trials=5), VALUES)
    run(stores, models=True)
    assert not (folder(home, ledger, 4) / "model").exists()
    longer = load_ledger("s", stores)
    longer.update_spec(study_spec(trials=6))
    (number,) = ask(longer)
    complete(longer, number, (90.0, 30.0))
    result = load_result("s", stores)
    assert [ranked.trial.number for ranked in result.front] == [5]
    # What has left the front by now may go too, but not the baselines.
    run(stores, models=True)
    left = [number for number in VALUES if (folder(home, ledger, number) / "model").exists()]
    assert left == [0, 1]
