from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.errors import BadInput
from safr_study.settings import (
    AT_K,
    CURVE_SHARES,
    LAYERS,
    OF_LAYER,
    OF_MODEL,
    Constraint,
    Objective,
    StudySpec,
    Wanted,
    everything,
    find_metric,
    wanted,
)
from safr_study.settings.metrics import SYNONYMS

CURVE = tuple(share for share in CURVE_SHARES if share)
NAMES = [
    *OF_MODEL,
    *(f"{name}@30" for name in AT_K),
    *(f"{name}.{layer}" for name in OF_LAYER for layer in LAYERS if find_metric(f"{name}.{layer}")),
]
NO_NAMES = [
    *("", " ", "accuracy ", "Accuracy", "unheard_of", "unheard_of@30", "unheard_of.block"),
    *("srs", "contrast", "srs@", "srs@0", "srs@0.3", "srs@0.99", "srs@100.5", "srs@101", "srs@-3"),
    *("srs@+3", "srs@1e1", "srs@nan", "srs@inf", "srs@ 30", "srs@30 ", "srs@3_0", "srs@30@30"),
    *("srs@30.block", "srs.ffn1_pre", "srs@³", "srs@٣٠", "@30", "accuracy@30", "srs_auc@30"),
    *("mean_capacity", "mean_capacity.", "mean_capacity.nowhere", "mean_capacity@30"),
    *("mean_capacity.ffn1_pre.block", "mean_capacity.ffn1_pre@30", ".ffn1_pre", "accuracy.block"),
    *("active_share.block", "active_share.ffn1_pre", "dead_share.embedding", "dead_share"),
    *("token_entropy.ffn1_pre", "token_entropy", "always_on_share.block", "naopc@30"),
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_metric_is_refused_with_one_sentence(name: str) -> None:
    assert find_metric(name) is None
    with pytest.raises(BadInput) as caught:
        Objective.named(name)
    sentence = str(caught.value)
    assert sentence.startswith(f"objective: {name!r} is none; use accuracy, srs@K")
    assert "\n" not in sentence
    assert "safr-study metrics" in sentence


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_catalogue_is_found(name: str) -> None:
    kind = name.partition("@")[0].partition(".")[0]
    metric = {**AT_K, **OF_MODEL, **OF_LAYER}[kind]
    assert find_metric(name) is metric
    objective = Objective.named(name)
    assert (objective.name, objective.metric, objective.measure) == (name, kind, metric)
    assert objective.maximise == metric.maximise
    assert objective.sign == (1 if metric.maximise else -1)
    assert Objective.model_validate_json(objective.model_dump_json()) == objective


def test_no_name_stands_in_two_groups() -> None:
    groups = (AT_K, OF_MODEL, OF_LAYER, SYNONYMS)
    assert len({name for group in groups for name in group}) == sum(map(len, groups))


def test_token_f1_is_kept_as_precision_at_gold() -> None:
    objective = Objective.named("token_f1")
    assert objective == Objective(name="precision_at_gold")
    assert wanted([objective.name]) == Wanted(agreements=("capacity",))
    assert Constraint.parse_text("token_f1 >= 0.2").text == "precision_at_gold >= 0.2"
    with pytest.raises(BadInput, match="did you mean token_f1"):
        Objective.named("token_f2")


def test_layers_and_their_measures() -> None:
    of_neurons = {"active_share", "dead_share", "token_entropy", "always_on_share"}
    for layer in LAYERS:
        found = {name for name in OF_LAYER if find_metric(f"{name}.{layer}")}
        assert found == set(OF_LAYER) - (set() if layer == "ffn1_post" else of_neurons)


@given(st.decimals(1, 100, places=2))
def test_k_may_have_decimals(percent: object) -> None:
    objective = Objective.named(f"srs@{percent}")
    assert objective.k == pytest.approx(float(str(percent)) / 100, rel=1e-12)
    assert objective.layer is None


@pytest.mark.parametrize(
    ("name", "k", "layer", "key", "label", "axis"),
    [
        ("accuracy", None, None, "accuracy", "accuracy", "accuracy on dev (percentage points)"),
        ("srs@30", 0.3, None, "srs_30", "SRS(30)", "SRS(30) on dev (percentage points)"),
        (
            *("sufficiency@12.5", 0.125, None, "sufficiency_12.5", "sufficiency(12.5)"),
            "sufficiency(12.5) on dev (percentage points, lower is better)",
        ),
        (
            *("log_odds@5", 0.05, None, "log_odds_5", "log-odds(5)"),
            "log-odds(5) on dev (nats, lower is better)",
        ),
        ("headroom@30", 0.3, None, "headroom_30", "headroom(30)", "headroom(30) on dev"),
        ("kendall_tau", None, None, "kendall_tau", "Kendall tau-b", "Kendall tau-b on dev"),
        (
            *("gate_openness", None, None, "gate_openness", "gate openness"),
            "gate openness on dev (lower is better)",
        ),
        (
            *("mean_capacity.ffn1_pre", None, "ffn1_pre", "mean_capacity.ffn1_pre"),
            *("mean capacity (ffn1_pre)", "mean capacity (ffn1_pre) on dev"),
        ),
        (
            *("interference_energy.block", None, "block", "interference_energy.block"),
            "interference energy (block)",
            "interference energy (block) on dev (lower is better)",
        ),
    ],
)
def test_an_objective_names_itself_for_tables_axes_and_stores(
    name: str, k: float | None, layer: str | None, key: str, label: str, axis: str
) -> None:
    objective = Objective.named(name)
    assert (objective.k, objective.layer, objective.key) == (k, layer, key)
    assert (objective.label, objective.axis) == (label, axis)


def test_lower_is_better_for_a_named_few() -> None:
    lower = {name for name in NAMES if Objective.named(name).sign < 0}
    assert {name.partition("@")[0].partition(".")[0] for name in lower} == {
        *("sufficiency", "sufficiency_aopc", "log_odds", "gate_openness"),
        *("ece", "brier", "log_loss"),
        *("interference_energy", "mean_cosine", "active_share", "dead_share"),
        *("token_entropy", "always_on_share"),
    }


def test_what_is_measured_is_what_the_objectives_need() -> None:
    assert wanted([]) == wanted(["accuracy", "gate_openness", "unheard_of"]) == Wanted()
    assert wanted(["srs@30", "comprehensiveness@5"]) == Wanted(shares=(0.05, 0.3))
    assert wanted(["headroom@20"]) == Wanted(shares=(0.2,), random=True)
    assert wanted(["contrast@30", "srs@30"]) == Wanted(shares=(0.3,), bottom=True)
    assert wanted(["sufficiency@40"]) == Wanted(shares=(0.4,), alone=True)
    assert wanted(["srs_first@30"]) == Wanted(shares=(0.3,), sides=True)
    assert wanted(["srs_auc"]) == Wanted(shares=CURVE)
    assert wanted(["srs_excess_auc", "srs@25"]) == Wanted(
        shares=tuple(sorted((*CURVE, 0.25))), random=True
    )
    assert wanted(["sufficiency_aopc"]) == Wanted(shares=CURVE, alone=True)
    assert wanted(["kendall_tau"]) == Wanted(leave_one_out=True)
    assert wanted(["auroc"]) == Wanted(agreements=("capacity",))
    assert wanted(["stable_rank.vmask"]) == Wanted(superposition=True)
    # One after the other or together is the same.
    every = wanted(NAMES)
    assert every.shares == CURVE
    assert every == Wanted(
        CURVE,
        random=True,
        bottom=True,
        alone=True,
        sides=True,
        leave_one_out=True,
        superposition=True,
        agreements=("capacity",),
        causes=CURVE,
        interchange=True,
        naopc=True,
    )
    both = wanted(["neuron_effect_zero@20", "srs@40"])
    assert both == Wanted((0.2, 0.4), causes=(0.2,)), "neurons are taken away where it is asked for"
    assert wanted(["interchange"]) == Wanted(interchange=True)


def test_everything_holds_what_any_objective_needs() -> None:
    all_of_it, quick = everything([0.125]), everything(quick=True)
    assert all_of_it.shares == (0.05, 0.1, 0.125, 0.2, 0.3, 0.4, 0.5)
    assert all_of_it.random
    assert all_of_it.bottom
    assert all_of_it.alone
    assert all_of_it.leave_one_out
    assert all_of_it.superposition
    assert "capacity" in all_of_it.agreements
    assert "capacity" not in all_of_it.controls
    assert quick.shares == CURVE
    assert quick.controls == ()
    assert quick.leave_one_out is quick.superposition is quick.interchange is False
    assert quick.causes == ()
    assert all_of_it.causes == all_of_it.shares
    assert all_of_it.interchange
    assert all_of_it.naopc
    assert not quick.naopc


def test_a_study_refuses_one_objective_and_the_same_one_twice() -> None:
    for names, fault in (
        (("accuracy",), "two objectives or more"),
        (("srs@30", "srs@30.0"), "repeat a name"),
        (("accuracy", "srs@5", "srs@05"), "is no objective"),
    ):
        values = {
            "name": "s",
            "corpus": {"dataset": "planted"},
            "space": {
                "name": "x",
                "parameters": {"dropout": {"type": "categorical", "choices": [0.0]}},
            },
            "objectives": [{"name": name} for name in names],
        }
        with pytest.raises(ValueError, match=fault):
            StudySpec.model_validate(values)
