from __future__ import annotations

from pathlib import Path

import pytest

from safr_study.errors import BadInput, BadInputs
from safr_study.settings import FloatParameter, SearchSpace, TrainConfig, trial_config
from safr_study.study.spaces import built_in_spaces, find_space, parse_space


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
