"""A gate before the aliases: a model that may be no better than the one in use is not promoted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from stored_study import finished_study, study_spec
from tiny_model import CLASSES, WORDS

from safr_study.cli.app import main
from safr_study.errors import BadInput
from safr_study.features.evaluate import evaluate
from safr_study.features.promote import Gate, Rule, Verdict, judge, promote_study
from safr_study.features.study_base.stores import Stores
from safr_study.features.sync import sync_study
from safr_study.home import open_home
from safr_study.settings import CorpusSpec
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import open_store

VALUES = {0: (80.0, 10.0), 1: (75.0, 20.0), 2: (70.0, 25.0)}
TEXTS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60
)


@given(TEXTS, st.floats(-100, 100), st.sampled_from([">", ">=", "<", "<="]), st.floats(0.5, 0.99))
@settings(max_examples=200, deadline=None)
def test_no_rule_is_passed_whose_interval_reaches_the_bound(
    texts: list[tuple[float, float]], bound: float, operator: str, confidence: float
) -> None:
    ours, theirs = np.array(texts).T
    rule = Rule.parse(f"accuracy {operator} current {bound:+.6f}")
    found = judge(rule, ours, theirs, confidence)
    difference = 100 * (ours - theirs)
    half = norm.ppf(0.5 + confidence / 2) * difference.std() / np.sqrt(len(texts))
    low, high = difference.mean() - half, difference.mean() + half
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
    assert found.value - (found.current or 0.0) == pytest.approx(found.interval.mean, abs=1e-9)
    if low + 1e-9 < rule.bound < high - 1e-9:
        assert not found.passed
    # It is passed where all of the interval is on the right side.
    beyond = low > rule.bound if rule.above else high < rule.bound
    if abs(low - rule.bound) > 1e-9 and abs(high - rule.bound) > 1e-9:
        assert found.passed == beyond


def test_equal_models_are_not_better_and_lose_nothing() -> None:
    same = np.array([1.0, 0.0, 1.0, 1.0])
    assert not judge(Rule.parse("srs@30 >= current"), same, same, 0.95).passed
    assert judge(Rule.parse("srs@30 >= current - 0.5"), same, same, 0.95).passed
    alone = judge(Rule.parse("accuracy >= 20"), same, None, 0.95)
    assert (alone.value, alone.current) == (75.0, None)
    assert alone.passed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accuracy", "is no rule"),
        ("accuracy >= curent", "is no rule"),
        ("accuracy >= current -", "is no rule"),
        ("accuracy == current", "is no rule"),
        ("macro_f1 > current", "cannot be judged text by text"),
        ("srs > current", "cannot be judged text by text"),
        ("srs@130 > current", "cannot be judged text by text"),
        ("accuracy@30 > current", "cannot be judged text by text"),
    ],
)
def test_a_rule_that_cannot_be_judged_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Rule.parse(text)


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Two studies of the same texts; the first one's models have the bare aliases."""
    draw = np.random.default_rng(0)
    words = [word for word in WORDS[2:] if word.isalpha()]
    rows = [f"{' '.join(draw.choice(words, size=6))},{CLASSES[n % 3]}" for n in range(90)]
    (tmp_path / "texts").mkdir()
    for name, count in (("train", 90), ("validation", 90), ("test", 60)):
        text = "\n".join(["text,label", *rows[:count]])
        (tmp_path / "texts" / f"{name}.csv").write_text(text + "\n")
    stores = Stores(open_home(tmp_path / "home"))
    corpus = CorpusSpec(dataset=str(tmp_path / "texts"))
    for name, values in (("one", VALUES), ("two", dict(reversed(VALUES.items())))):
        finished_study(
            stores.home,
            study_spec(name, corpus=corpus, trials=3),
            {n: values[n] for n in sorted(values)},
        )
        sync_study(name, stores)
    return stores


def aliases(stores: Stores) -> dict[str, str]:
    """Study of the version of each bare alias."""
    return {
        alias: model.tags["study"]
        for model in list_models(open_store(stores.home))
        for alias in model.aliases
        if not alias.startswith(("one-", "two-"))
    }


def verdict(stores: Stores, *rules: str, split: str = "test") -> Verdict:
    gate = Gate(tuple(map(Rule.parse, rules)), split="dev" if split == "dev" else "test")
    found = promote_study("two", stores, gate).verdict
    assert found is not None
    return found


def test_the_aliases_move_only_where_every_rule_holds(stores: Stores) -> None:
    before = aliases(stores)
    assert set(before.values()) == {"one"}
    refused = verdict(stores, "accuracy >= current - 100.5", "srs@30 > current + 100")
    assert [one.passed for one in refused.judged] == [True, False]
    assert aliases(stores) == before
    store = open_store(stores.home)
    held = {model.version: model for model in list_models(store)}
    tag = json.loads(held[refused.candidate].tags["gate"])
    assert tag == refused.to_plain()
    assert (tag["passed"], tag["split"], tag["texts"]) == (False, "test", 60)
    assert held[refused.current or ""].tags["study"] == "one"
    passed = verdict(stores, "accuracy >= current - 100.5")
    assert passed.passed
    assert set(aliases(stores).values()) == {"two"}
    assert json.loads(list_models(store)[-1].tags.get("gate", "null")) is None
    # Who has the alias already is not judged against itself, but by what it has to show itself.
    again = verdict(stores, "accuracy > current", "accuracy > 200")
    assert (again.current, [one.rule.text for one in again.judged]) == (None, ["accuracy > 200"])
    assert not again.passed
    assert verdict(stores, "accuracy > current", "accuracy >= 0").passed
    assert set(aliases(stores).values()) == {"two"}


def test_both_are_measured_as_evaluate_does(stores: Stores) -> None:
    found = verdict(stores, "accuracy > 200", "srs@30 > current + 100", "srs_excess@30 < current")
    for version, which in ((found.candidate, "value"), (found.current, "current")):
        model = f"models:/safr-planted/{version}"
        scores = evaluate(model, None, stores, split="test", quick=True).scores
        for one in found.judged[which == "current" :]:
            assert getattr(one, which) == pytest.approx(scores.value(one.rule.metric), abs=1e-9)
    on_dev = verdict(stores, "accuracy > 200", split="dev")
    assert (on_dev.split, on_dev.texts) == ("dev", 90)


def test_a_refusal_says_what_failed_and_ends_with_2(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(rule: str) -> tuple[int, dict[str, Any], str]:
        command = ["safr-study", "promote", "two", "--home", str(stores.home.root), "--json"]
        monkeypatch.setattr("sys.argv", [*command, "--if", rule])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), json.loads(shown.out)["gate"], shown.err

    code, gate, said = asked("srs@30 > current + 100")
    assert code == 2
    assert "srs@30 > current + 100 does not hold on 60 texts of test" in " ".join(said.split())
    assert (gate["passed"], gate["rules"][0]["rule"]) == (False, "srs@30 > current + 100")
    code, gate, said = asked("accuracy > -1")
    assert (code, gate["passed"], said) == (0, True, "")
