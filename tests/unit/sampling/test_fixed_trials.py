from __future__ import annotations

import pytest
from asking import open_study, run, spec_of, synthetic

from safr_study.features.paper.rows import paper
from safr_study.sampling.fixed_trials import grid_points, planned, planned_trials
from safr_study.sampling.rules import FIRST
from safr_study.settings import ModelShape, SearchSpace, StudySpec, TrainConfig, Value
from safr_study.settings.space_files import find_space


def points(spec: StudySpec) -> list[dict[str, Value]]:
    found = [planned(spec, number) for number in range(planned_trials(spec))]
    assert planned(spec, planned_trials(spec)) is None
    return [dict(plan.point) for plan in found if plan is not None]


def test_the_grid_of_table_6_is_the_papers_rows_in_the_papers_order() -> None:
    spec = spec_of(find_space("paper_table6"), "grid", trials=100)
    rows = [
        {"vmask": False}
        if not row.vmask
        else {"lambda_imp": row.lambda_imp, "lambda_inter": row.lambda_inter}
        for row in paper().rows
    ]
    assert points(spec) == rows
    # They are drawn as what they are, by a study that runs them.
    assert run(open_study(spec), spec, len(rows), synthetic) == rows


def test_fewer_trials_are_the_first_of_the_grid() -> None:
    spec = spec_of(find_space("paper_table6"), "grid", trials=5)
    assert planned_trials(spec) == 5


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc"])
def test_points_are_the_grids_alone_in_a_study_that_began_before(sampler: str) -> None:
    spec = spec_of(find_space("paper_table6"), sampler)
    assert planned(spec, 2, rules=FIRST) is None
    first = planned(spec, 2)
    assert first is not None
    assert first.point == {"lambda_imp": 0, "lambda_inter": 0.01}
    assert planned_trials(spec) == 24


def test_a_baseline_has_the_values_of_training_for_what_it_does_not_name() -> None:
    train = TrainConfig(learning_rate=2e-4, shape=ModelShape(dropout=0.2, heads=4))
    spec = spec_of(find_space("full"), "tpe", train=train)
    first, second = planned(spec, 0), planned(spec, 1)
    assert first is not None
    assert second is not None
    plain = {"learning_rate": 2e-4, "dropout": 0.2, "layers": 1, "heads": 4}
    assert (first.baseline, first.point) == ("no-vmask", {"vmask": False, **plain})
    assert second.baseline == "vmask-only"
    assert second.point == {
        **plain,
        "vmask": True,
        "lambda_imp": 0.0,
        "lambda_inter": 0.0,
        "mask_hidden_dim": 1024,
        "gumbel_temperature": 1.0,
    }


def test_a_grid_leaves_out_what_a_baseline_is_in_full() -> None:
    space = SearchSpace.parse(
        {
            "name": "x",
            "parameters": {
                "lambda_imp": {"type": "float", "low": 0.1, "high": 1, "zero": 0.5, "grid": [0, 1]},
                "layers": {"type": "int", "low": 1, "high": 2},
            },
        }
    )
    grid = points(spec_of(space, "grid", trials=100))[2:]
    # VMASK alone with one layer is a baseline; with two it is none.
    assert grid == [
        {"lambda_imp": 0, "layers": 2},
        {"lambda_imp": 1, "layers": 1},
        {"lambda_imp": 1, "layers": 2},
    ]


def test_the_grid_is_every_existing_combination_once() -> None:
    space = SearchSpace.parse(
        {
            "name": "grid",
            "parameters": {
                "lambda_imp": {
                    "type": "float",
                    "low": 0.1,
                    "high": 1,
                    "zero": 0.5,
                    "grid": [0, 0.1, 1],
                },
                "layers": {"type": "int", "low": 1, "high": 2},
                "dropout": {
                    "type": "float",
                    "low": 0.1,
                    "high": 0.2,
                    "grid": [0.1, 0.2],
                    "when": {"layers": 2},
                },
            },
        }
    )
    expected = [
        {"lambda_imp": imp, "layers": layers} | ({"dropout": d} if layers == 2 else {})
        for imp in (0, 0.1, 1)
        for layers in (1, 2)
        for d in ((0.1, 0.2) if layers == 2 else (None,))
    ]
    assert list(grid_points(space)) == expected


def test_a_log_range_without_grid_values_is_spaced_evenly_in_the_logarithm() -> None:
    space = SearchSpace.parse(
        {
            "name": "g",
            "parameters": {"learning_rate": {"type": "float", "low": 1e-4, "high": 1, "log": True}},
        }
    )
    levels = [point["learning_rate"] for point in grid_points(space)]
    assert levels == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "qmc", "random"])
def test_the_space_of_rivals_has_each_alone_first_and_then_all_together(sampler: str) -> None:
    space = find_space("rivals")
    spec = spec_of(space, sampler, trials=40)
    found = run(open_study(spec), spec, 40, synthetic)
    assert [point["vmask"] for point in found[:2]] == [False, True]
    off = {"lambda_l1": 0, "lambda_ortho": 0, "ffn_topk": 1}
    assert all(point[name] == value for point in found[:2] for name, value in off.items())
    assert found[2:9] == [dict(point) for point in space.points]
    searched = found[9:]
    for point in searched:
        assert ("lambda_imp" in point) == ("lambda_inter" in point) == bool(point["vmask"])
        assert all(space.parameters[name].holds(value) for name, value in point.items())
    both = [p for p in searched if p.get("lambda_imp") and any(p[n] != v for n, v in off.items())]
    assert both, "SAFR and rivals are combined"
    assert any(p["lambda_l1"] and p["ffn_topk"] != 1 for p in searched)
