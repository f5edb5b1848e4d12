"""The replay against brute force and real training, on made-up tables; the real one if asked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.curves import LEVELS, Curve, MeanTable, Pair, Vector, snap
from benchmarks.executor import History, run_search
from benchmarks.kept import keep_search, kept_searches
from benchmarks.live import LiveSetup, LiveTrainer, live_searches
from benchmarks.measured import machine
from benchmarks.replay import main, replay_all
from benchmarks.searches import (
    METHODS,
    RANDOM_ASHA,
    Lookup,
    Search,
    Setup,
    replay,
    row_seed,
    study_spec,
)
from benchmarks.summary import AIM, markdown, summarise
from benchmarks.synthetic import SyntheticTable
from benchmarks.table_lines import FileTable, read_lines
from safr_study.data import encoded_corpus
from safr_study.pareto import hypervolume
from safr_study.records import EpochReport
from safr_study.records.run import RunResult
from safr_study.runner.task import RunTask, read_event
from safr_study.runner.worker import train_run
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    ModelShape,
    Objective,
    SchedulerConfig,
    TrainConfig,
)
from safr_study.settings.space_files import find_space
from safr_study.training import fit

EPOCHS = 9
RANDOM, TPE, TPE_ASHA, _ = METHODS
TABLE = SyntheticTable()
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
REAL = "sst2-treebank"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def setup(**changes: object) -> Setup:
    given = {
        "space": find_space("lambda"),
        "train": TrainConfig(epochs=EPOCHS, patience=EPOCHS),
        "scheduler": SchedulerConfig(),
        "cap": 40,
    }
    return Setup(**{**given, **changes})  # type: ignore[arg-type]


@given(st.floats(1e-6, 100.0))
def test_a_lambda_goes_to_the_nearest_level(value: float) -> None:
    above = np.array(LEVELS[1:])
    distances = np.abs(np.log(value / above))
    half_a_step = math.log(above[1] / above[0]) / 2
    found = snap(value, LEVELS)
    if value < above[0] and distances[0] > half_a_step + 1e-9:
        assert found == 0
    elif value > above[0] or distances[0] < half_a_step - 1e-9:
        assert math.isclose(abs(math.log(value / found)), distances.min(), abs_tol=1e-9)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_stays_itself(level: float) -> None:
    assert snap(level, LEVELS) == level


def test_a_curve_is_cut_where_the_real_training_stops() -> None:
    corpus = encoded_corpus(CorpusSpec(dataset="planted", train_limit=60, dev_limit=40, max_len=30))
    tiny = ModelShape(embed_dim=8, ffn_dim=8, heads=2, mask_hidden_dim=4)
    whole = TrainConfig(shape=tiny, learning_rate=0.02, epochs=10, patience=10)
    cpu = torch.device("cpu")
    reports = fit(whole, corpus, device=cpu).epochs
    values = tuple((report.dev_accuracy, 0.0) for report in reports)
    curve = Curve(values, values, tuple(report.dev_loss for report in reports))
    lengths = set()
    for patience in (1, 2, 3):
        for epochs in (1, 5, 10):
            config = whole.model_copy(update={"epochs": epochs, "patience": patience})
            real = fit(config, corpus, device=cpu)
            looked_up = curve.reports(config, rungs=(2,))
            assert [r.best for r in looked_up] == [r.best for r in real.epochs]
            assert curve.end(config)[0] == real.epochs[real.best_epoch - 1].dev_accuracy
            assert [r.epoch for r in looked_up if r.objectives] == [2] * (len(looked_up) > 1)
            lengths.add(len(looked_up))
    assert len(lengths) > 3  # Otherwise patience was never put to the test.


class Watch(History):
    """Remembers each complete trial too."""

    def trial_ended(self, trial: object) -> None:
        super().trial_ended(trial)  # type: ignore[arg-type]
        self.__dict__.setdefault("ended", []).append(trial)


def watched(method: int, seed: int, *, workers: int = 2, trials: int = 12, **changes: object):  # type: ignore[no-untyped-def]
    """A search's history, and its trials as they ended."""
    given = setup(**changes)
    spec = study_spec(
        METHODS[method],
        seed,
        space=given.space,
        train=given.train,
        scheduler=given.scheduler,
        cap=trials * EPOCHS,
    )
    history = Watch(TABLE.reference)
    run_search(
        spec,
        Lookup(TABLE, "trial"),
        history,
        workers=workers,
        folder=Path("nowhere"),
        enough=lambda seen: seen.epochs >= trials * EPOCHS,
    )
    return history, history.__dict__["ended"]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_full_training_costs_every_epoch_and_has_the_tables_values(workers: int) -> None:
    history, ended = watched(0, 3, workers=workers)
    assert history.epochs == 12 * EPOCHS
    assert {len(trial.epochs) for trial in ended} == {EPOCHS}
    for trial in ended:
        imp, inter = (trial.parameters[name] for name in ("lambda_imp", "lambda_inter"))
        pair = None if imp is None else (snap(imp, LEVELS), snap(inter, LEVELS))
        curve = TABLE.curve(pair, row_seed("trial", 3, trial.number, TABLE.seeds))
        best = max(range(EPOCHS), key=lambda e: (curve.values[e][0], -curve.loss[e]))
        assert trial.values == pytest.approx(curve.values[best])
    values = [trial.values for trial in ended]
    assert history.worth == pytest.approx(hypervolume(values, TABLE.reference))
    assert {trial.baseline for trial in ended} == {"no-vmask", "vmask-only", None}


def test_stopped_trials_cost_their_epochs_and_add_nothing_to_the_front() -> None:
    history, ended = watched(2, 0, trials=20, scheduler=SchedulerConfig(run_on=0.5))
    stopped = [trial for trial in ended if trial.state.value == "pruned" and not trial.control]
    ran_on = [trial for trial in ended if trial.control]
    complete = [trial for trial in ended if trial.values is not None]
    assert stopped
    assert ran_on
    assert {len(trial.epochs) for trial in stopped} <= set(SchedulerConfig().rungs(EPOCHS))
    assert {len(trial.epochs) for trial in [*ran_on, *complete]} == {EPOCHS}
    assert sum(len(trial.epochs) for trial in ended) <= history.epochs
    values = [trial.values for trial in complete]
    assert history.worth == pytest.approx(hypervolume(values, TABLE.reference))


def test_a_scheduler_that_stops_nobody_changes_nothing() -> None:
    # Control: what the other tests see is the scheduler's doing.
    nobody = SchedulerConfig(min_peers=10_000)
    with_rungs, without = (watched(method, 1, scheduler=nobody)[1] for method in (2, 1))
    assert [t.parameters for t in with_rungs] == [t.parameters for t in without]
    assert [t.values for t in with_rungs] == [t.values for t in without]


def test_equal_searches_are_equal() -> None:
    first, second = (replay(TABLE, TPE_ASHA, 5, setup()) for _ in range(2))
    other = replay(TABLE, TPE_ASHA, 6, setup())
    assert first == second
    assert first.steps != other.steps


@pytest.mark.parametrize("rule", ["trial", "study"])
def test_no_search_finds_more_than_the_best(rule: str) -> None:
    # The target counts what can be drawn: a search that draws it all has exactly that.
    small = SyntheticTable(levels=(0.0, 0.03), seeds=2, epochs=3)
    given = setup(rule=rule, cap=80, horizon=80, train=TrainConfig(epochs=3))
    for seed in (0, 1):
        found = replay(small, RANDOM, seed, given)
        drawn = [(None, row_seed(rule, seed, 0, 2))]  # type: ignore[arg-type]
        drawn += [
            ((imp, inter), row)
            for row in ([0, 1] if rule == "trial" else [seed])
            for imp in small.levels
            for inter in small.levels
        ]
        ends = [small.curve(*row).end(given.train) for row in drawn]
        assert found.best == pytest.approx(hypervolume(ends, small.reference))
        assert found.steps[-1][1] == pytest.approx(1.0)
        assert found.epochs is not None


def test_rows_are_drawn_evenly_or_kept() -> None:
    drawn = [row_seed("trial", 4, number, 2) for number in range(400)]
    assert 150 < sum(drawn) < 250
    assert {row_seed("study", 5, number, 2) for number in range(400)} == {1}


class Needle(SyntheticTable):
    """One pair is far better than all others, and so from the first epoch on."""

    def final(self, pair: Pair | None) -> Vector:
        return (90.0, 40.0) if pair == (0.0, 0.22) else (60.0, 2.0)


def test_what_dominates_is_found_by_the_same_trial_at_less_cost() -> None:
    needle = Needle(row_noise=(0.3, 0.3), epoch_noise=(0.1, 0.1), rung_noise=(0.5, 0.5))
    given = setup(cap=400, scheduler=SchedulerConfig(margin=0.0, run_on=0.0))
    searches = replay_all(needle, (RANDOM, RANDOM_ASHA), 4, given)
    full, stopping = summarise(searches, at=216).methods
    assert full.arrived == stopping.arrived == 4
    trials = [sum(found.states.values()) for found in searches]
    # Trials that others overtake end before it, so the numbers differ a little.
    assert trials[4:] == pytest.approx(trials[:4], abs=6)
    assert stopping.mean.value < 0.85 * full.mean.value


def made_up(method: str, seed: int, spent: int | None, *, cap: int = 1000) -> Search:
    steps = ((10, 0.5),) if spent is None else ((10, 0.5), (spent, 0.96))
    return Search(method, seed, 100.0, steps, cap, cap, {"complete": 3, "pruned": 1})


def test_ratios_are_paired_by_seed() -> None:
    # Every search takes 0.3 of what random search takes under its seed: nothing is uncertain.
    spent = [100, 400, 700, 900]
    searches = [made_up("random", seed, epochs) for seed, epochs in enumerate(spent)]
    searches += [
        made_up("tpe-asha", s, round(0.3 * e)) for s, e in reversed(list(enumerate(spent)))
    ]
    summary = summarise(searches, at=50)
    base, asha = summary.methods
    assert base.mean.value == np.mean(spent)
    assert base.mean.low < base.mean.value < base.mean.high
    ratio = asha.ratio_of_means
    assert ratio is not None
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((0.3, 0.3, 0.3))
    assert summary.aim_reached == ("tpe-asha",)
    assert (base.share.value, asha.stopped) == (0.5, 0.25)


def test_a_search_that_did_not_arrive_counts_with_the_cap() -> None:
    searches = [made_up("random", 0, 500), made_up("random", 1, 500)]
    searches += [made_up("tpe", 0, 500), made_up("tpe", 1, None)]
    base, tpe = summarise(searches, at=10).methods
    assert (tpe.arrived, tpe.mean.value, tpe.median.value) == (1, 750.0, 750.0)
    assert base.arrived == 2
    assert tpe.ratio_of_means is not None
    assert tpe.ratio_of_means.high >= 2.0 > AIM


def test_a_search_that_is_kept_is_not_run_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    given = setup(cap=6)
    first = replay_all(TABLE, (RANDOM,), 2, given, kept=kept)
    # Marked, to be known again; and the last line is torn.
    marked = kept.read_text("utf-8").replace(f'"best": {first[0].best}', '"best": 1.0', 1)
    kept.write_text(marked[:-20], "utf-8")
    again = replay_all(TABLE, (RANDOM,), 2, given, kept=kept)
    assert [search.best for search in again] == [1.0, first[1].best]
    assert replay_all(TABLE, (RANDOM,), 2, given, kept=kept) == again
    others = replay_all(TABLE, (RANDOM,), 1, replace(given, workers=1), kept=kept)
    assert others[0].best == first[0].best


def test_a_mean_table_has_the_mean_of_each_pair() -> None:
    table = MeanTable(TABLE)
    pair = (1.5, 0.22)
    first, second = (np.array(TABLE.curve(pair, seed).values) for seed in (0, 1))
    assert table.seeds == 1
    assert np.allclose(table.curve(pair, 0).values, (first + second) / 2)


def test_intervals_cover_the_mean() -> None:
    draws = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        spent = draws.gamma(4.0, 100.0, 30)
        base = summarise([made_up("random", s, int(e)) for s, e in enumerate(spent)], at=5)
        hits += base.methods[0].mean.low <= 400 <= base.methods[0].mean.high
    assert 86 <= hits <= 99


def test_searches_under_other_seeds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same seeds"):
        summarise([made_up("random", 0, 5), made_up("tpe", 1, 5)], at=5)


def test_a_trial_in_steps_is_the_trial_in_one_go(tmp_path: Path) -> None:
    spec = CorpusSpec(dataset="planted", train_limit=60, dev_limit=40, max_len=30)
    corpus = encoded_corpus(spec)
    task = RunTask(
        number=0,
        train=TrainConfig(
            shape=ModelShape(embed_dim=8, ffn_dim=8, heads=2, mask_hidden_dim=4),
            learning_rate=0.02,
            epochs=3,
        ),
        corpus=spec,
        evaluation=EvaluationConfig(),
        objectives=(Objective(name="accuracy"), Objective(name="srs@30")),
        folder=str(tmp_path / "steps"),
        gpus=0.0,
        rungs=(2,),
        rung_texts=20,
    )
    trainer = LiveTrainer(corpus)
    steps = [trainer.step(task) for _ in range(4)]
    seen = []
    whole = train_run(
        replace(task, folder=str(tmp_path / "whole")), corpus, lambda event: seen.append(event)
    )
    for ours, other in zip(steps[:3], seen, strict=True):
        theirs = read_event(other["event"])
        assert isinstance(ours, EpochReport)
        assert isinstance(theirs, EpochReport)
        assert replace(ours, seconds=0.0) == replace(theirs, seconds=0.0)
    last = steps[3]
    assert isinstance(last, RunResult)
    assert last.replicates == whole.replicates


def test_finished_live_searches_are_read_back_and_not_run_again(tmp_path: Path) -> None:
    lines = tmp_path / "live.jsonl"
    setup = LiveSetup(epochs=2, cap=1, scheduler=SchedulerConfig())
    assert kept_searches(lines, setup.key) == {}
    done = [
        Search(method.key, 3, 100.0, ((2, 0.5), (4, 0.97)), 4, 2, {"complete": 2})
        for method in METHODS
    ]
    for one in done:
        keep_search(lines, setup.key, one)
    assert live_searches(setup, 3, lines) == done
    assert {seed for _, seed in kept_searches(lines, setup.key)} == {3}
    assert kept_searches(lines, replace(setup, epochs=3).key) == {}


def test_the_command_writes_a_page_its_numbers_and_a_picture(tmp_path: Path) -> None:
    out = tmp_path / "efficiency"
    kept = tmp_path / "kept.jsonl"
    given = ["--searches", "2", "--cap", "12", "--horizon", "0", "--kept", str(kept)]
    given += ["--out", str(out)]
    methods = ["--methods", "random", "tpe-asha"]
    assert main([*given, *methods, "--first-rung", "1"]) == 0
    numbers = json.loads(out.with_suffix(".json").read_text("utf-8"))
    assert [one["method"] for one in numbers["searches"]] == ["random"] * 2 + ["tpe-asha"] * 2
    assert numbers["scheduler"]["first_rung"] == 1
    page = out.with_suffix(".md").read_text("utf-8")
    searches = [Search.from_plain(one) for one in numbers["searches"]]
    table = summarise(searches, at=24 * EPOCHS)
    assert markdown(table) in page
    assert "rungs after 1, 3 of 9 epochs" in page
    drawn = out.with_suffix(".svg").read_text("utf-8")
    ids = set(re.findall(r'id="((?:median|band)-[a-z-]+|target)"', drawn))
    assert ids == {"target", *(f"{a}-{m}" for a in ("median", "band") for m in methods[1:])}
    assert out.with_suffix(".png").stat().st_size > 1000


@pytest.mark.long
def test_the_committed_replay_can_be_repeated() -> None:
    table_file = RESULTS / f"lambda-table-{REAL}.jsonl"
    written = RESULTS / f"efficiency-{REAL}.json"
    if not (table_file.exists() and written.exists()):
        pytest.skip("docs/results has no table, or no replay of it: make table, make efficiency")
    numbers = json.loads(written.read_text("utf-8"))
    scheduler = SchedulerConfig(**numbers["scheduler"])
    table = FileTable.of(table_file.stem, read_lines(table_file), texts=scheduler.texts)
    train = TrainConfig(epochs=numbers["epochs"], patience=numbers["patience"])
    given = setup(
        train=train,
        scheduler=scheduler,
        cap=numbers["summary"]["cap"] // numbers["epochs"],
        workers=numbers["workers"],
        rule=numbers["rule"],
    )
    # The models' draws hang on the last bits, which another processor rounds otherwise.
    methods = [RANDOM.key]
    if numbers["cpu"] == machine()["cpu"]:
        methods += [TPE.key, TPE_ASHA.key]
    for one in numbers["searches"]:
        if one["seed"] < 3 and one["method"] in methods:
            method = next(method for method in METHODS if method.key == one["method"])
            found = replay(table, method, one["seed"], given)
            assert found.epochs == Search.from_plain(one).epochs
