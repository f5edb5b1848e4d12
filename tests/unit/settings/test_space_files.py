from __future__ import annotations

from pathlib import Path

import pytest

from safr_study.errors import BadInput, BadInputs
from safr_study.settings import FloatParameter, SearchSpace, TrainConfig, trial_config
from safr_study.settings.space_files import built_in_spaces, find_space, parse_space


def test_every_built_in_space_is_valid_and_says_what_it_is_for() -> None:
    spaces = [find_space(name) for name in built_in_spaces()]
    assert {space.name for space in spaces} >= {"lambda", "smoke"}
    assert all(space.description for space in spaces)


def test_a_file_is_read_like_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nparameters:\n  dropout: {type: float, low: 0, high: 0.5}\n", "utf-8"
    )
    assert find_space(str(file)).parameters == {
        "dropout": FloatParameter(type="float", low=0.0, high=0.5)
    }


def test_low_above_high_is_one_sentence_that_names_the_field() -> None:
    with pytest.raises(BadInputs) as caught:
        parse_space(
            "name: x\nparameters:\n  lambda_imp: {type: float, low: 2, high: 1}\n", where="x.yaml"
        )
    assert str(caught.value) == "x.yaml: parameters.lambda_imp: low=2 is above high=1; swap them"


def test_all_faults_are_shown_at_once() -> None:
    with pytest.raises(BadInputs) as caught:
        parse_space(
            "name: x\n"
            "colour: red\n"
            "parameters:\n"
            "  lambda_imp: {type: float, low: 2, high: 1}\n"
            "  lambda_inter: {type: float, low: 0, high: 1, log: true}\n"
            "  dropout: {type: float, low: a, high: 1}\n"
            "  heads: {type: categorical, choices: []}\n"
            "  foo: {type: int, low: 1, high: 2}\n",
            where="x.yaml",
        )
    fields = {fault.field for fault in caught.value.faults}
    assert "no such setting 'foo'" in str(caught.value)
    assert fields == {
        "x.yaml",
        "x.yaml: colour",
        "x.yaml: parameters.lambda_imp",
        "x.yaml: parameters.lambda_inter",
        "x.yaml: parameters.dropout.low",
        "x.yaml: parameters.heads.choices",
    }


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("  colour: {type: int, low: 1, high: 2}", "no such setting 'colour'"),
        ("  heads: {type: int, low: 2, high: 4}", "heads=3 does not divide embed_dim=256"),
        ("  dropout: {type: float, low: 0, high: 1}", "should be less than 1"),
        ("  dropout: {type: float, low: 0, high: .inf}", "finite"),
        (
            "  dropout: {type: float, low: 0, high: 0.5, when: {layers: 2}}",
            "layers is neither fixed nor an earlier parameter",
        ),
        ("  lambda_imp: {type: float, low: 0.1, high: 1, grid: [0, 0.1]}", "zero a probability"),
    ],
)
def test_what_no_trial_could_use_is_refused(parameters: str, words: str) -> None:
    with pytest.raises(BadInputs, match=words):
        parse_space(f"name: x\nparameters:\n{parameters}\n", where="x.yaml")


def test_a_baseline_name_given_twice_is_refused() -> None:
    baselines = "baselines: [{name: a, values: {}}, {name: a, values: {vmask: false}}]"
    with pytest.raises(BadInputs, match="the name 'a' is given twice"):
        parse_space(
            f"name: x\nparameters:\n  layers: {{type: int, low: 1, high: 2}}\n{baselines}\n",
            where="x.yaml",
        )


@pytest.mark.parametrize("text", ["", "- a\n- b", "name: [", "\t:", "42"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"x\.yaml"):
        parse_space(text, where="x.yaml")


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"lambda.*smoke"):
        find_space("lamda")
    with pytest.raises(BadInput, match="neither a file nor"):
        find_space(str(tmp_path))


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(BadInput, match="cannot be read as text"):
        find_space(str(file))


def test_a_trials_values_replace_the_templates() -> None:
    config = trial_config(
        TrainConfig(epochs=7), {"lambda_imp": 0.5, "layers": 2, "learning_rate": 0.01}, seed=3
    )
    assert config.penalties.lambda_imp == 0.5
    assert (config.shape.layers, config.learning_rate) == (2, 0.01)
    assert (config.epochs, config.seed) == (7, 3)


def test_without_vmask_the_lambdas_are_null() -> None:
    config = trial_config(TrainConfig(), {"vmask": False, "lambda_imp": 0.5}, seed=0)
    assert config.penalties.lambda_imp is None
    assert config.penalties.lambda_inter is None


def test_a_space_is_written_and_read_back_equal() -> None:
    space = find_space("lambda")
    assert SearchSpace.parse(space.model_dump(mode="json")) == space


MANY_FAULTS = """\
name: x
colour: red
parameters:
  lambda_imp: {type: float, low: 2, high: 1}
  lambda_inter: {type: float, zero: 0.2}
  dropout: {type: float, low: 0, high: 0.5, when: {layers: 2}}
  foo: {type: int, low: 1, high: 2}
  layers: {type: int, low: 1, high: 3, when: {vmask: false}}
  heads: {type: categorical, choices: [4, 4]}
  learning_rate: {type: float, low: 0, high: 1, log: true}
  gumbel_temperature: {type: float, low: 1, high: 2, when: {interference: dot}}
  patience: {type: int, low: 1, high: 5}
fixed: {patience: 3, interference: squared}
points:
  - {layers: 9}
constraints: [accuracy >= majority, srs >= 3]
baselines: [{name: a, values: {bar: 1}}, {name: a, values: {}}]
"""


def test_every_fault_is_shown_at_once_those_between_fields_too() -> None:
    with pytest.raises(BadInputs) as caught:
        parse_space(MANY_FAULTS, where="x.yaml")
    sentences = [str(fault) for fault in caught.value.faults]
    for words in (
        "x.yaml: colour: unknown field",
        "x.yaml: parameters.lambda_imp: low=2 is above high=1; swap them",
        "x.yaml: parameters.lambda_inter.low: is missing",
        "x.yaml: parameters.lambda_inter.high: is missing",
        "x.yaml: parameters.dropout.when: layers is neither fixed nor an earlier parameter",
        "x.yaml: parameters.foo: no such setting 'foo'",
        "x.yaml: parameters.layers.when: vmask is neither fixed nor an earlier parameter",
        "x.yaml: parameters.heads: choices [4, 4] repeat a value",
        "x.yaml: parameters.learning_rate: low=0 has no logarithm",
        "x.yaml: parameters.gumbel_temperature.when: interference is never 'dot'",
        "x.yaml: patience is both fixed and a parameter; keep one",
        "x.yaml: points.0: patience is missing",
        "x.yaml: constraints.1: 'srs' is no metric",
        "x.yaml: baselines: the name 'a' is given twice",
        "x.yaml: baselines.a: no such setting 'bar'",
    ):
        assert sum(sentence.startswith(words) for sentence in sentences) == 1, words
    # Of a parameter that is broken itself, nothing else is said.
    assert sum("parameters.lambda_imp" in sentence for sentence in sentences) == 1


def test_a_fault_between_fields_is_a_line_of_its_own() -> None:
    text = (
        "name: x\nfixed: {layers: 2}\nparameters:\n  layers: {type: int, low: 1, high: 2}\n"
        "  dropout: {type: float, low: 0, high: 0.5, when: {layers: 1}}\n"
    )
    with pytest.raises(BadInputs) as caught:
        parse_space(text, where="x.yaml")
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("{layers: 1}", None),
        ("{layers: 2, dropout: 0.1}", None),
        ("{layers: 2}", "points.0: dropout is missing"),
        ("{layers: 1, dropout: 0.1}", "points.0: dropout does not exist beside the other values"),
        ("{layers: 3}", "points.0: layers cannot be 3 by its parameter"),
        ("{layers: true}", "points.0: layers cannot be True by its parameter"),
        ("{layers: 1, heads: 4}", "points.0: 'heads' is no parameter of the space"),
        ("{layers: 1}, {layers: 1}", "points.1: {'layers': 1} is given twice"),
    ],
)
def test_a_point_names_what_exists_and_nothing_else(point: str, words: str | None) -> None:
    text = (
        "name: x\nparameters:\n  layers: {type: int, low: 1, high: 2}\n"
        "  dropout: {type: float, low: 0, high: 0.5, when: {layers: 2}}\n"
        f"points: [{point}]\n"
    )
    if words is None:
        assert len(parse_space(text, where="x.yaml").points) == 1
        return
    with pytest.raises(BadInputs) as caught:
        parse_space(text, where="x.yaml")
    assert words in str(caught.value)


def test_vmask_comes_before_the_weights_that_exist_only_with_it() -> None:
    weight = "{type: float, low: 0.1, high: 1}"
    vmask = "{type: categorical, choices: [true, false]}"
    with pytest.raises(BadInputs, match="vmask must come before lambda_imp"):
        parse_space(
            f"name: x\nparameters:\n  lambda_imp: {weight}\n  vmask: {vmask}\n", where="x.yaml"
        )
    parse_space(f"name: x\nparameters:\n  vmask: {vmask}\n  lambda_imp: {weight}\n", where="x.yaml")


def test_the_built_in_spaces_are_what_they_say() -> None:
    assert built_in_spaces() == ["full", "lambda", "paper_table6", "rivals", "smoke"]
    full = find_space("full")
    assert [constraint.text for constraint in full.constraints] == ["accuracy >= majority + 5"]
    assert full.parameters["mask_hidden_dim"].when == {"vmask": True}
    assert set(full.parameters) == {
        *("vmask", "lambda_imp", "lambda_inter", "mask_hidden_dim", "gumbel_temperature"),
        *("learning_rate", "dropout", "layers", "heads"),
    }
    rivals = find_space("rivals")
    # Each alone at two strengths, beside the paper's weights.
    off = {"lambda_l1": 0, "lambda_ortho": 0, "ffn_topk": 1.0}
    active = [[name for name in off if point[name] != off[name]] for point in rivals.points]
    assert active == [[], *([name] for name in off for _ in range(2))]
    assert [point["vmask"] for point in rivals.points] == [True, *[False] * 6]
    for name in built_in_spaces():
        space = find_space(name)
        assert SearchSpace.parse(space.model_dump(mode="json")) == space
