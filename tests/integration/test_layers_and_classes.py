"""Three blocks, four classes, three objectives with one minimised: from search to explain."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Ended, safr

from safr_study.settings import LAYERS

STUDY = "layers"
OBJECTIVES = ("accuracy", "srs@30", "interference_energy.ffn1_pre")
SIGNS = (1.0, 1.0, -1.0)
SPACE = """\
name: three-layers
parameters:
  lambda_imp: {type: categorical, choices: [0.0, 0.01]}
  lambda_inter: {type: categorical, choices: [0.0, 0.1]}
baselines: []
fixed:
  layers: 3
  embed_dim: 16
  ffn_dim: 32
  heads: 2
  mask_hidden_dim: 16
  learning_rate: 0.01
  batch_size: 16
"""
BLOCKS = 3
PLACES = [("embedding", 0), ("vmask", 0)] + [
    (layer, block) for block in range(BLOCKS) for layer in LAYERS[2:]
]
TEXT = "f0000 cue1_03 dis22 f0001 f0000 unheard-of"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers") / "home"


@pytest.fixture(scope="module")
def searched(home: Path) -> Ended:
    (home.parent / "three.yaml").write_text(SPACE, encoding="utf-8")
    objectives = [word for name in OBJECTIVES for word in ("--objective", name)]
    return safr(
        home,
        *("search", "--dataset", "planted:4class", "--study", STUDY, "--space", "three.yaml"),
        *("--trials", "4", "--epochs", "2", "--sampler", "grid", "--json", *objectives),
        *("--dev-limit", "200"),
    )


@pytest.fixture(scope="module")
def document(home: Path, searched: Ended) -> Any:
    """What ``pareto --json`` says."""
    assert searched.code == 0, searched.err
    ended = safr(home, "pareto", STUDY, "--json")
    assert ended.code == 0, ended.err
    return ended.json


@pytest.fixture(scope="module")
def pulled(home: Path, document: Any) -> tuple[Path, Any]:
    """The folder of the most accurate model, and its trial."""
    folder = home.parent / "model"
    ended = safr(home, "pull", "safr-planted-4class@best-accuracy", "--to", str(folder))
    assert ended.code == 0, ended.err
    return folder, max(document["trials"], key=lambda trial: trial["values"]["accuracy"])


@pytest.fixture(scope="module")
def explained(home: Path, pulled: tuple[Path, Any]) -> Any:
    ended = safr(home, "explain", str(pulled[0]), TEXT, "--json", "--layers")
    assert ended.code == 0, ended.err
    return ended.json


def gains(trial: Any) -> tuple[float, ...]:
    """The objectives, more is better."""
    return tuple(sign * trial["values"][name] for sign, name in zip(SIGNS, OBJECTIVES, strict=True))


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def test_the_study_ends_well_and_names_its_objectives(searched: Ended) -> None:
    assert searched.code == 0, searched.err
    assert "4 classes" in searched.err
    shown = "accuracy and SRS(30) and interference energy (ffn1_pre)"
    assert shown in searched.err
    assert len(searched.json["trials"]) == searched.json["complete"] == 4


def test_the_objectives_are_those_of_the_scores(document: Any) -> None:
    assert document["objectives"] == list(OBJECTIVES)
    assert document["reference_point"] == dict(zip(OBJECTIVES, (25.0, 0.0, 1.0), strict=True))
    grid = {(0.0, 0.0), (0.0, 0.1), (0.01, 0.0), (0.01, 0.1)}
    found = {
        (t["parameters"]["lambda_imp"], t["parameters"]["lambda_inter"]) for t in document["trials"]
    }
    assert found == grid
    for trial in document["trials"]:
        values, scores = trial["values"], trial["scores"]
        (at_30,) = scores["deletions"]
        (last,) = [
            layer
            for layer in scores["superposition"]
            if (layer["layer"], layer["block"]) == ("ffn1_pre", BLOCKS - 1)
        ]
        assert values == {
            "accuracy": scores["accuracy"],
            "srs@30": at_30["srs"],
            "interference_energy.ffn1_pre": last["interference_energy"],
        }
        assert 0 < last["interference_energy"] < 1
        assert scores["majority_accuracy"] == 25.0


def test_the_front_and_its_volume_are_those_of_brute_force(document: Any) -> None:
    points = {trial["trial"]: gains(trial) for trial in document["trials"]}
    front = {
        number
        for number, point in points.items()
        if not any(dominates(other, point) for other in points.values())
    }
    assert set(document["front"]) == front
    assert {t["trial"] for t in document["trials"] if t["on_front"]} == front
    # The union of the boxes from the reference point, by inclusion and exclusion.
    corner = np.multiply(SIGNS, list(document["reference_point"].values()))
    boxes = [np.maximum(np.array(points[number]) - corner, 0) for number in front]
    volume = sum(
        (-1) ** (size + 1) * float(np.prod(np.min(some, axis=0)))
        for size in range(1, len(boxes) + 1)
        for some in combinations(boxes, size)
    )
    assert document["hypervolume"] == pytest.approx(volume)
    assert volume > 0


def test_the_pulled_model_repeats_the_numbers_of_its_trial(
    home: Path, pulled: tuple[Path, Any]
) -> None:
    folder, trial = pulled
    ended = safr(home, "evaluate", str(folder), "--split", "dev", "--json")
    assert ended.code == 0, ended.err
    scores, recorded = ended.json["scores"], trial["scores"]
    assert ended.json["recorded"] == recorded
    for name in ("accuracy", "accuracy_se", "loss", "majority_accuracy", "gate_openness"):
        assert scores[name] == recorded[name]
    (before,) = recorded["deletions"]
    (after,) = [deletion for deletion in scores["deletions"] if deletion["k"] == 0.3]
    measured = {name: value for name, value in before.items() if value is not None}
    assert {name: after[name] for name in measured} == measured
    assert len(measured) > 8
    # Every layer of every block, in the order of the forward pass.
    layers = scores["superposition"]
    assert len(layers) == 2 + 5 * BLOCKS
    assert [(layer["layer"], layer["block"]) for layer in layers] == PLACES
    assert layers == recorded["superposition"]
    for layer in layers:
        assert 0 < layer["mean_capacity"] < 1
        has_neurons = layer["layer"] == "ffn1_post"
        assert (layer["active_share"] is not None) is has_neurons
    assert scores["curve"]["srs_auc"] is not None
    assert {found["ranking"] for found in scores["agreements"]} >= {"capacity", "keep_probability"}
    # The largest probability is at least 1/4, so no more than 3/4 of it can be lost.
    assert all(abs(deletion["sufficiency"]) < 75 for deletion in scores["deletions"])


def test_a_text_is_explained_in_every_layer(pulled: tuple[Path, Any], explained: Any) -> None:
    words = TEXT.split()
    assert [word["text"] for word in explained["words"]] == words
    assert [word["known"] for word in explained["words"]] == [True] * 5 + [False]
    assert set(explained["probabilities"]) == {"0", "1", "2", "3"}
    assert sum(explained["probabilities"].values()) == pytest.approx(1)
    assert explained["prediction"] == max(
        explained["probabilities"], key=lambda name: explained["probabilities"][name]
    )
    assert explained["model"]["blocks"] == BLOCKS
    assert explained["model"]["sha256"] == pulled[1]["checkpoint"]["sha256"]
    assert [(layer["layer"], layer["block"]) for layer in explained["layers"]] == PLACES
    for layer in explained["layers"]:
        squares = np.square(layer["pairs"]["dot"])
        np.testing.assert_allclose(layer["pairs"]["interference"], squares)
        np.testing.assert_allclose(layer["capacity"], np.diagonal(squares) / squares.sum(axis=1))
    # What is shown is the last block, as in the study.
    assert (explained["layer"], explained["block"]) == ("ffn1_pre", BLOCKS - 1)
    shown = explained["layers"][PLACES.index(("ffn1_pre", BLOCKS - 1))]
    capacities = [word["capacity"] for word in explained["words"]]
    assert capacities == shown["capacity"]
    order = sorted(range(len(words)), key=lambda place: -capacities[place])
    assert [word["rank"] for word in explained["words"]] == [
        order.index(place) for place in range(len(words))
    ]
    # Both places of a word have the same embedding, and share its direction.
    embedding = explained["layers"][0]
    assert embedding["capacity"][0] == embedding["capacity"][4] < 0.51
