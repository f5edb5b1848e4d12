"""A study's ask/tell loop without training: the ledger's way of asking, and a cheap objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend

from safr_study.sampling.fixed_trials import planned
from safr_study.sampling.sampler import build_sampler, enqueued, replay, suggest
from safr_study.settings import CorpusSpec, Objective, SearchSpace, StudySpec, Value

Drawn = dict[str, Value]
Evaluate = Callable[[Mapping[str, Value]], Sequence[float]]


def spec_of(
    space: SearchSpace, sampler: str, *, objectives: Sequence[str] = ("accuracy", "srs@30"), **more
) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "s",
            "corpus": CorpusSpec(dataset="planted"),
            "space": space,
            "sampler": sampler,
            "objectives": [Objective(name=name) for name in objectives],
            **more,
        }
    )


def open_study(spec: StudySpec, journal: Path | None = None) -> optuna.Study:
    """The study in a journal file, begun or gone on with; in memory without one."""
    storage = None
    if journal is not None:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(
        study_name=spec.name,
        storage=storage,
        directions=["maximize" if o.maximise else "minimize" for o in spec.objectives],
        load_if_exists=True,
    )


def ask(study: optuna.Study, spec: StudySpec) -> tuple[optuna.Trial, Drawn]:
    """The next trial and its settings: a baseline, a point of the grid, or the sampler's."""
    number = len(study.get_trials(deepcopy=False))
    plan = planned(spec, number)
    study.sampler = build_sampler(spec.sampler, seed=spec.seed, number=number, space=spec.space)
    if plan is None:
        trial = study.ask()
        return trial, suggest(trial, spec.space)
    study.enqueue_trial(enqueued(plan.point, spec.space))
    trial = study.ask()
    replay(trial, spec.space, plan.point)
    return trial, {**spec.space.fixed, **plan.point}


def tell(
    study: optuna.Study, trial: optuna.Trial, spec: StudySpec, values: Sequence[float]
) -> None:
    """End a trial with objectives, and with its constraints on the first of them."""
    for index, constraint in enumerate(spec.space.constraints):
        trial.set_constraint(str(index), constraint.violation(values[0], [5, 5]))
    study.tell(trial, list(values))


def run(
    study: optuna.Study, spec: StudySpec, count: int, evaluate: Evaluate, *, at_once: int = 1
) -> list[Drawn]:
    """Ask and tell ``count`` trials, the oldest first where several run at once."""
    drawn, running = [], []
    for _ in range(count):
        trial, values = ask(study, spec)
        drawn.append(values)
        running.append((trial, values))
        if len(running) == at_once:
            first, its = running.pop(0)
            tell(study, first, spec, evaluate(its))
    for trial, its in running:
        tell(study, trial, spec, evaluate(its))
    return drawn


def synthetic(values: Mapping[str, Value], objectives: int = 2) -> list[float]:
    """Accuracy falls and SRS rises with both weights; smooth, with a value for every setting."""
    imp, inter = (
        math.log10(max(float(values.get(name) or 0.0), 1e-5)) + 5
        for name in ("lambda_imp", "lambda_inter")
    )
    other = float(values.get("dropout", 0.1)) + float(values.get("layers", 1)) / 10
    found = [80 - imp**2 / 4 - inter / 3 - other, 2 * imp + inter + other, imp * inter - other]
    return found[:objectives]


def inside(values: Mapping[str, Value], space: SearchSpace) -> bool:
    """Whether every parameter that exists is there with a value of its own, and no other.

    Written from the space's file alone, apart from the samplers' code.
    """
    allowed = {**space.fixed}
    for name, parameter in space.parameters.items():
        wanted = all(values.get(other) == value for other, value in parameter.when.items())
        if name.startswith("lambda_") and values.get("vmask") is False:
            wanted = False
        if wanted != (name in values):
            return False
        if not wanted:
            continue
        value = values[name]
        plain = parameter.model_dump()
        if plain["type"] == "categorical":
            good = any(value == one and type(value) is type(one) for one in plain["choices"])
        else:
            good = plain["low"] <= value <= plain["high"] or (plain.get("zero", 0) > 0 == value)
            good = good and isinstance(value, int if plain["type"] == "int" else float)
        if not good:
            return False
        allowed[name] = value
    return dict(values) == allowed


def spaces_of(parameters: Mapping[str, object], **more: object) -> SearchSpace:
    return SearchSpace.parse({"name": "test", "parameters": parameters, "baselines": [], **more})


def zeros(drawn: Iterable[Mapping[str, Value]], name: str) -> int:
    return sum(values.get(name) == 0 for values in drawn)
