"""The next step of a study under freeze-thaw, over spaces of every kind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from safr_study.records import EpochReport, LossTerms, TrialRecord, TrialState
from safr_study.sampling.next_step import FIRST_POINTS, Begin, FreezeThaw, Resume
from safr_study.sampling.sampler import enqueued
from safr_study.sampling.unit_cube import at_unit, box, coordinates, from_box, to_box, unit_of
from safr_study.settings import CorpusSpec, SchedulerConfig, SearchSpace, StudySpec, TrainConfig
from safr_study.settings.space_files import find_space

EPOCHS = 12
MIXED = SearchSpace.model_validate(
    {
        "name": "mixed",
        "parameters": {
            "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
            "layers": {"type": "int", "low": 1, "high": 3},
            "ffn_dim": {"type": "int", "low": 16, "high": 512, "log": True},
            "interference": {"type": "categorical", "choices": ["dot", "squared"]},
            "dropout": {"type": "float", "low": 0.0, "high": 0.3, "when": {"layers": 3}},
            "lambda_imp": {"type": "float", "low": 1e-4, "high": 10, "log": True, "zero": 0.2},
        },
    }
)
SPACES = {"lambda": find_space("lambda"), "mixed": MIXED}


def spec(space: SearchSpace, **changes: Any) -> StudySpec:
    given = {
        "name": "s",
        "corpus": CorpusSpec(dataset="planted"),
        "space": space,
        "trials": 30,
        "scheduler": SchedulerConfig(name="freeze-thaw"),
        "train": TrainConfig(epochs=EPOCHS),
    }
    return StudySpec.model_validate({**given, **changes})


def report(epoch: int, objectives: tuple[float, ...] | None) -> EpochReport:
    return EpochReport(
        epoch=epoch,
        train=LossTerms(0.5, 0.5, None, None),
        dev_accuracy=60.0,
        dev_loss=0.5,
        gate_openness=None,
        mean_norm=1.0,
        best=True,
        seconds=1.0,
        objectives=objectives,
    )


class Study:
    """A study in memory: each trial's end is a function of its place."""

    def __init__(self, given: StudySpec) -> None:
        self.spec, self.records = given, dict[int, TrialRecord]()
        self.reference = (50.0, 0.0, 0.0)[: len(given.objectives)]
        self.thaw = FreezeThaw(given, self.reference)

    def put(self, record: TrialRecord) -> None:
        self.records[record.number] = record
        self.thaw.add(record)

    def begin(self, drawn: Any, number: int) -> TrialRecord:
        baselines = [
            {"lambda_imp": None, "lambda_inter": None, "vmask": False},
            {"lambda_imp": 0.0, "lambda_inter": 0.0},
        ]
        values = baselines[number] if drawn is None else dict(drawn)
        for name in list(values):
            if name.endswith(".switch") and values.pop(name) < 0.2:
                values[name.removesuffix(".switch")] = 0.0
        baseline = "b" if drawn is None else None
        return TrialRecord(number, TrialState.RUNNING, values, 0, baseline=baseline)

    def end(self, record: TrialRecord) -> tuple[float, ...]:
        drawn = {k: v for k, v in record.parameters.items() if v is not None}
        point = to_box(enqueued(drawn, self.spec.space), self.spec.space)
        x = 0.0 if point is None else float(np.mean(unit_of(point, self.spec.space)))
        return (60 + 12 * x, 20 - 15 * x * x, 5 + x)[: len(self.spec.objectives)]

    def advance(self, number: int) -> None:
        """To its next rung, or to its end; baselines always that far."""
        record, end = self.records[number], self.end(self.records[number])
        epochs = list(record.epochs)
        at = next((r for r in self.thaw.rungs if r > len(epochs)), None)
        if record.baseline is not None or at is None:
            self.put(replace(record, state=TrialState.COMPLETE, values=end, paused_at=None))
            return
        for epoch in range(len(epochs) + 1, at + 1):
            part = math.log(epoch + 1) / math.log(EPOCHS + 1)
            there = zip(self.reference, end, strict=True)
            values = tuple(r + (e - r) * part for r, e in there)
            epochs.append(report(epoch, values if epoch == at else None))
        self.put(replace(record, epochs=tuple(epochs), paused_at=at))

    def steps(self, count: int) -> Iterator[object]:
        for _ in range(count):
            step = self.thaw.next(may_begin=len(self.records) < self.spec.trials)
            yield step
            if step is None:
                return
            if isinstance(step, Resume):
                record = self.records[step.number]
                assert record.paused_at is not None
                self.put(replace(record, paused_at=None))
                self.advance(step.number)
            else:
                assert isinstance(step, Begin)
                number = len(self.records)
                self.put(self.begin(step.drawn, number))
                self.advance(number)


def no_baselines(space: SearchSpace) -> SearchSpace:
    return space.model_copy(update={"baselines": ()})


@pytest.mark.parametrize("name", SPACES)
def test_places_points_and_values_are_one(name: str) -> None:
    space = SPACES[name]
    for place in np.random.default_rng(0).random((200, len(space.parameters))):
        point = at_unit(place.tolist(), space)
        assert point.keys() == box(space).keys()
        drawn = from_box(point, space)
        again = to_box(drawn, space)
        assert again is not None
        assert from_box(at_unit(unit_of(again, space), space), space).keys() == drawn.keys()
        assert all(-0.2 <= one <= 1.0 for one in coordinates(point, space))


def test_an_exact_zero_lies_one_step_below_its_range_however_wide_it_is() -> None:
    space = find_space("lambda")
    zero, low, high = (
        coordinates({"lambda_imp": at, "lambda_inter": 0.6}, space)[0] for at in (0.1, 0.2, 1.0)
    )
    assert zero < low == 0.0
    assert high == 1.0
    assert coordinates({"lambda_imp": 0.0, "lambda_inter": 0.6}, space)[0] == zero


def test_choices_are_one_apart() -> None:
    first, second = (
        np.array(coordinates({**at_unit([0.5] * 6, MIXED), "interference": one}, MIXED))
        for one in ("dot", "squared")
    )
    assert np.linalg.norm(first - second) == pytest.approx(1.0)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("objectives", [2, 3])
def test_a_study_ends_and_is_the_same_when_it_is_read_again(name: str, objectives: int) -> None:
    names = ["accuracy", "srs@30", "sufficiency@20"][:objectives]
    space = SPACES[name] if name == "lambda" else no_baselines(SPACES[name])
    given = spec(space, objectives=[{"name": n} for n in names], trials=14)
    study = Study(given)
    begun, resumed = 0, 0
    for step in study.steps(200):
        begun, resumed = begun + isinstance(step, Begin), resumed + isinstance(step, Resume)
        # Another driver that reads the records in another order decides the same.
        other = FreezeThaw(given, study.reference)
        for record in reversed(study.records.values()):
            other.add(record)
        assert other.next(may_begin=len(study.records) < 14) == step
    assert step is None
    assert begun == 14
    assert resumed > 0
    assert other.recommended() == study.thaw.recommended()
    drawn = [tuple(record.parameters.items()) for record in study.records.values()]
    assert len(set(drawn)) == 14


def test_a_trial_that_dominates_all_is_never_left_paused() -> None:
    for seed in range(3):
        study = Study(spec(find_space("lambda"), trials=20, seed=seed))
        best = FIRST_POINTS + seed

        def end(record: TrialRecord, best: int = best) -> tuple[float, ...]:
            n = record.number
            return (80.0, 30.0) if n == best else (55.0 + 7 * n % 5, 4.0 + 3 * n % 4)

        study.end = end  # type: ignore[method-assign]
        assert list(study.steps(100))[-1] is None
        assert study.records[best].state is TrialState.COMPLETE


def test_seeds_differ_and_the_first_points_are_spread() -> None:
    firsts = []
    for seed in (0, 0, 1):
        study = Study(spec(no_baselines(find_space("lambda")), seed=seed))
        steps = list(study.steps(FIRST_POINTS))
        assert all(isinstance(step, Begin) for step in steps)
        firsts.append(steps)
    assert firsts[0] == firsts[1]
    assert firsts[0] != firsts[2]


def test_settings_that_fail_or_miss_a_constraint_are_left_alone() -> None:
    def begun(bad: bool) -> list[float]:
        study = Study(spec(no_baselines(find_space("lambda")), trials=40))
        advance = study.advance

        def fails(number: int) -> None:
            record = study.records[number]
            if bad and (record.parameters.get("lambda_imp") or 0) > 0.1:
                study.put(replace(record, state=TrialState.FAILED, failure="no"))
            else:
                advance(number)

        study.advance = fails  # type: ignore[method-assign]
        drawn = [step.drawn for step in study.steps(60) if isinstance(step, Begin)]
        return [float((one or {}).get("lambda_imp", 0.0)) for one in drawn]

    high = [np.mean(np.array(begun(bad)[FIRST_POINTS:]) > 0.1) for bad in (False, True)]
    assert high[1] < 0.75 * high[0]


def test_without_anything_to_learn_from_it_begins_or_ends() -> None:
    thaw = FreezeThaw(spec(no_baselines(find_space("lambda"))), (50.0, 0.0))
    assert isinstance(thaw.next(may_begin=True), Begin)
    assert thaw.next(may_begin=False) is None
    assert thaw.recommended() == []
