"""Search spaces that cannot be used."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import Case, Table, counted, writes

FLOAT = "{type: float, low: 0.1, high: 0.5}"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
)
"""10 ** 10 values in less than a kilobyte."""


def space(text: str | bytes, says: str, lines: int = 1) -> Case:
    return Case(("spaces", "validate", "x.yaml"), says, given=writes("x.yaml", text), lines=lines)


def one(
    parameter: str, says: str, name: str = "dropout", *, more: str = "", lines: int = 1
) -> Case:
    """A space of one parameter."""
    return space(f"name: x\nparameters:\n  {name}: {parameter}\n{more}", says, lines)


CASES: Table = {
    "an empty file": space("", "must be a mapping"),
    "a comment alone": space("# nothing\n", "must be a mapping"),
    "a list": space("- a\n- b\n", "must be a mapping"),
    "a word": space("lambda", "must be a mapping"),
    "bad YAML": space("name: [\n", "is no valid YAML: while parsing"),
    "a tab": space("name: x\nparameters:\n\tdropout: 1\n", "is no valid YAML: while scanning"),
    "two documents": space(
        "name: x\n---\nname: y\n", "is no valid YAML: expected a single document"
    ),
    "Latin-1": space("name: café\n".encode("latin-1"), "cannot be read as text"),
    "NUL bytes": space("name: a\0b\n", "is no valid YAML: unacceptable character"),
    "a tag that would run a command": space(
        "name: !!python/object/apply:os.system [touch run]\n",
        "could not determine a constructor for the tag",
    ),
    "an alias bomb": space(
        BOMB + "name: x\nparameters: *j\n", "it has an alias (*a): write its values out"
    ),
    "an alias that leads back": space(
        "name: x\nparameters: &p\n  dropout: *p\n", "it has an alias (*p): write its values out"
    ),
    "an alias to nothing": space("name: *x\n", "it has an alias (*x): write its values out"),
    "nesting without end": space(
        "name: " + "[" * 1_200 + "]" * 1_200, "is no valid YAML: maximum recursion"
    ),
    "a key that is given twice": space(
        f"name: x\nparameters:\n  dropout: {FLOAT}\n  dropout: {FLOAT}\n",
        "'dropout' is given twice in the mapping of line 3",
    ),
    "a file of a megabyte": space("# " + "x" * 1_000_000, "is larger than 100,000 bytes"),
    "no parameters": space("name: x\n", "x.yaml: parameters: is missing"),
    "parameters that are none": space(
        "name: x\nparameters: {}\n", "parameters: dictionary should have at least 1 item"
    ),
    "parameters that are a list": space(
        f"name: x\nparameters: [{FLOAT}]\n", "parameters: input should be a valid dictionary"
    ),
    "no name": space(f"parameters: {{dropout: {FLOAT}}}\n", "x.yaml: name: is missing"),
    "a name that is a number": space(
        f"name: 7\nparameters: {{dropout: {FLOAT}}}\n",
        "name: input should be a valid string, but it is 7",
    ),
    "a pooling that is none": one(
        "{type: categorical, choices: [mean, max]}", "input should be 'mean' or 'cls'", "pooling"
    ),
    "an unknown field": one(FLOAT, "colour: unknown field", more="colour: red\n"),
    "an unknown setting": one(FLOAT, "no such setting 'speed'; known are", name="speed"),
    "a setting that is a number": one(FLOAT, "parameters", name="7", lines=2),
    "an unknown kind": one("{type: complex, low: 0, high: 1}", "parameters.dropout: "),
    "no kind": one("{low: 0, high: 1}", "parameters.dropout: "),
    "a parameter that is nothing": one("", "parameters.dropout: "),
    "a parameter that is a number": one("0.5", "parameters.dropout: "),
    "no bounds": one("{type: float}", "parameters.dropout.low: is missing", lines=2),
    "low above high": one("{type: float, low: 2, high: 1}", "low=2 is above high=1; swap them"),
    "low above high behind another fault": one(
        "{type: float, low: 2, high: 1, colour: red}",
        "parameters.dropout: low=2 is above high=1; swap them",
        lines=2,
    ),
    "a logarithm of zero behind another fault": one(
        "{type: float, low: 0, high: 1, log: true, grid: x}",
        "parameters.lambda_imp: low=0 has no logarithm",
        name="lambda_imp",
        lines=2,
    ),
    "a grid that is a number": one(
        "{type: float, low: 0, high: 0.5, grid: 0.1}",
        "dropout.grid: must be a list, in brackets or with a dash before each item, but it is 0.1",
    ),
    "a constraint that is no list": one(
        FLOAT,
        "constraints: must be a list, in brackets or with a dash before each item, but it is "
        "'accuracy >= 60'",
        more="constraints: accuracy >= 60\n",
    ),
    "a bound that is a word": one("{type: float, low: few, high: 1}", "but it is 'few'"),
    "a bound that is no number": one("{type: float, low: .nan, high: 1}", "a finite number"),
    "a bound without end": one("{type: float, low: 0, high: .inf}", "a finite number"),
    "an int of 400 digits": one(
        f"{{type: int, low: 1, high: {'9' * 400}}}", "should be less than 92233", name="layers"
    ),
    "a float of 400 digits": one(
        f"{{type: float, low: 0, high: {'9' * 400}}}", "be a valid number"
    ),
    "a choice of 400 digits": one(
        f"{{type: categorical, choices: [{'9' * 400}]}}", "parameters.heads: heads", name="heads"
    ),
    "a bound that is a day": one(
        f"{{type: float, low: {datetime.date(2026, 1, 1)}, high: 1}}", "but it is datetime.date"
    ),
    "an int that is none": one(
        "{type: int, low: 1.5, high: 3}", "parameters.layers.low: ", name="layers"
    ),
    "a logarithm of zero": one(
        "{type: float, low: 0, high: 1, log: true}", "low=0 has no logarithm", name="lambda_imp"
    ),
    "a probability above 1": one(
        "{type: float, low: 0.1, high: 1, zero: 1.5}", "less than 1", name="lambda_imp"
    ),
    "a grid outside the bounds": one(
        "{type: float, low: 0, high: 0.5, grid: [0.9]}", "grid values [0.9] lie outside [0, 0.5]"
    ),
    "no choices": one("{type: categorical, choices: []}", "at least 1 item", name="heads"),
    "a choice that is given twice": one(
        "{type: categorical, choices: [2, 2]}", "repeat a value", name="heads"
    ),
    "a choice that is a list": one(
        "{type: categorical, choices: [[1], 2]}",
        "parameters.heads.choices.0: must be a number, a word",
        name="heads",
    ),
    "a choice that no model can have": one(
        "{type: categorical, choices: [8, 7]}", "heads=7 does not divide embed_dim", name="heads"
    ),
    "a dropout of everything": one("{type: float, low: 0.5, high: 1.0}", "less than 1"),
    "no neuron at all": one(
        "{type: float, low: 0, high: 0.5}", "ffn_topk: input should be greater than 0", "ffn_topk"
    ),
    "more neurons than all": one(
        "{type: categorical, choices: [0.5, 1.5]}", "less than or equal to 1", "ffn_topk"
    ),
    "more texts than all": one(
        "{type: float, low: 0.5, high: 1.5}", "less than or equal to 1", "deletion_augmentation"
    ),
    "a bound of nothing": one(
        "{type: float, low: 0, high: 0.5}", "should be greater than 0", "deletion_bound"
    ),
    "an L1 below nothing": one(
        "{type: float, low: -1, high: 1}", "greater than or equal to 0", "lambda_l1"
    ),
    "orthogonality that is a word": one(
        FLOAT, "fixed: lambda_ortho: ", more="fixed: {lambda_ortho: much}\n"
    ),
    "a parameter that is fixed too": one(
        FLOAT, "dropout is both fixed and a parameter", more="fixed: {dropout: 0.1}\n"
    ),
    "a fixed value of a wrong kind": one(FLOAT, "fixed: layers: ", more="fixed: {layers: many}\n"),
    "a condition on nothing": one(
        "{type: float, low: 0.1, high: 1, when: {layers: 3}}",
        "layers is neither fixed nor an earlier parameter",
        name="lambda_imp",
    ),
    "a condition that is never so": one(
        "{type: float, low: 0.1, high: 1, when: {layers: 3}}",
        "layers is never 3, so this never exists",
        name="lambda_imp",
        more="fixed: {layers: 1}\n",
    ),
    "VMASK after its weights": space(
        f"name: x\nparameters:\n  lambda_imp: {FLOAT}\n"
        "  vmask: {type: categorical, choices: [true, false]}\n",
        "parameters.vmask must come before lambda_imp",
    ),
    "a constraint on no metric": one(
        FLOAT, "constraints.0: ", more="constraints: ['beauty >= 3']\n"
    ),
    "a constraint without a bound": one(
        FLOAT, "constraints.0: ", more="constraints: ['accuracy >=']\n"
    ),
    "a constraint that is a number": one(
        FLOAT, "7 is no constraint; write", more="constraints: [7]\n"
    ),
    "a constraint that is given twice": one(
        FLOAT,
        "'accuracy >= 60' is given twice",
        more="constraints: ['accuracy >= 60', 'accuracy >= 60']\n",
    ),
    "a baseline of an unknown setting": one(
        FLOAT,
        "baselines.b: no such setting 'speed'",
        more="baselines: [{name: b, values: {speed: 1}}]\n",
    ),
    "a point outside its parameter": one(
        FLOAT, "points.0: dropout cannot be 9", more="points: [{dropout: 9}]\n"
    ),
    "five faults": space(
        "colour: red\nparameters:\n  dropout: {type: float, low: 2, high: 1}\n  speed: 7\n"
        "constraints: ['beauty > 1']\n",
        "parameters.dropout: low=2 is above high=1",
        lines=6,
    ),
    "a folder": Case(
        ("spaces", "validate", "x.yaml"),
        "'x.yaml' is neither a file nor one of",
        given=lambda folder: (folder / "x.yaml").mkdir(),
    ),
    "a missing file": Case(("spaces", "validate", "gone.yaml"), "is neither a file nor one of"),
    "a misspelt name": Case(
        ("search", "--dataset", "planted", "--space", "lamda"), "space: 'lamda' is neither"
    ),
}


@pytest.mark.parametrize("name", counted("search spaces", CASES))
def test_it_is_a_sentence_for_each_fault(
    name: str, refused: Callable[[Case], None], tmp_path: Path
) -> None:
    refused(CASES[name])
    assert not (tmp_path / "here" / "run").exists()


def test_the_bomb_is_one() -> None:
    # Written out it would be the end of the machine, so only its arithmetic is looked at.
    import yaml

    loaded = yaml.safe_load(BOMB)
    assert len(loaded["j"]) == len(loaded["j"][0]) == 10
    assert len(BOMB) < 1_000
