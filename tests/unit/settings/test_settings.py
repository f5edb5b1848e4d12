from __future__ import annotations

import pytest

from safr_study.errors import BadInput, BadInputs
from safr_study.settings import (
    CorpusSpec,
    ModelShape,
    Objective,
    Resources,
    StudySpec,
    TrainConfig,
)
from safr_study.settings.space_files import find_space


def spec(**changes: object) -> StudySpec:
    given = {"name": "s", "corpus": CorpusSpec(dataset="planted"), "space": find_space("lambda")}
    return StudySpec.model_validate({**given, **changes})


@pytest.mark.parametrize(
    ("name", "metric", "k", "key", "label"),
    [
        ("accuracy", "accuracy", None, "accuracy", "accuracy"),
        ("srs@30", "srs", 0.3, "srs_30", "SRS(30)"),
        ("srs_excess@5", "srs_excess", 0.05, "srs_excess_5", "SRS excess(5)"),
        ("srs@12.5", "srs", 0.125, "srs_12.5", "SRS(12.5)"),
    ],
)
def test_an_objective_is_read_from_its_name(
    name: str, metric: str, k: float | None, key: str, label: str
) -> None:
    objective = Objective.named(name)
    assert (objective.metric, objective.k, objective.key) == (metric, k, key)
    assert objective.label == label


@pytest.mark.parametrize(
    "name", ["", "srs", "srs@", "srs@0", "srs@0.3", "srs@101", "srs@-3", "accuracy@30"]
)
def test_what_is_no_objective_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="objective"):
        Objective.named(name)


def test_what_changes_a_number_changes_the_identity() -> None:
    base = spec()
    assert spec().identity() == base.identity()
    for other in (
        spec(seed=1),
        spec(train=TrainConfig(epochs=3)),
        spec(sampler="random"),
        spec(corpus=CorpusSpec(dataset="planted", train_limit=100)),
        spec(space=find_space("smoke")),
    ):
        assert other.identity() != base.identity()


def test_names_trials_and_resources_do_not() -> None:
    described = find_space("lambda").model_copy(update={"description": "another text"})
    for other in (
        spec(name="t"),
        spec(trials=99),
        spec(resources=Resources(max_concurrent=1)),
        spec(space=described),
        # Permissions: so that a study goes on whether they are given or not.
        spec(corpus=CorpusSpec(dataset="planted", allow_small=True, allow_duplicates=True)),
    ):
        assert other.identity() == spec().identity()


def test_a_study_stored_without_permissions_is_that_of_the_same_command() -> None:
    stored = spec().model_dump(mode="json")
    for name in ("allow_small", "allow_duplicates"):
        del stored["corpus"][name]
    assert StudySpec.parse(stored) == spec()
    assert StudySpec.parse(stored).identity() == spec().identity()
    assert set(spec().settings_that_change_numbers()["corpus"]) == set(stored["corpus"])


def test_a_study_is_written_and_read_back_equal() -> None:
    assert StudySpec.parse(spec().model_dump(mode="json")) == spec()


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(BadInputs) as caught:
        ModelShape.parse({"heads": 0, "dropout": 1.5, "colour": "red"}, where="model")
    assert [fault.field for fault in caught.value.faults] == [
        "model: heads",
        "model: dropout",
        "model: colour",
    ]


def test_sizes_must_fit_together() -> None:
    with pytest.raises(BadInputs, match="heads=7 does not divide embed_dim=256"):
        ModelShape.parse({"heads": 7})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ModelShape().heads = 4
