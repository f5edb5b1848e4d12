"""Promote a study's front: the bare aliases move to it, where its chosen model passes the gate.

A gate compares the study's knee or compromise with the model that has the bare alias, text by text
on the same texts. A rule is passed where its whole interval is beyond the bound, so noise alone
promotes nothing. What was judged is a tag of the version, passed or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from safr_study.checkpoint.model_files import LoadedModel, load_model
from safr_study.data import EncodedSplit, SplitName, load_corpus
from safr_study.errors import BadInput
from safr_study.evaluation.scoring import evaluate_model
from safr_study.features.study_base.model_texts import model_split
from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import REGISTRY_SCHEME, Stores, model_folder
from safr_study.ledger.retention import earlier_keys
from safr_study.records import RegisteredModel
from safr_study.settings import Wanted
from safr_study.settings.metrics import SYNONYMS, find_metric, share_of
from safr_study.tracking.registry import StudyAliases, chosen_versions, register_front, tag_version
from safr_study.tracking.store import open_store
from safr_study.training import computing, pick_device
from safr_study.uncertainty.intervals import Interval, normal_interval

Floats = NDArray[np.float64]
GATE_TAG = "gate"
"""Tag of a version: what the last gate found of it, as JSON."""
_OF_TEXTS = ("accuracy", "srs", "srs_excess")
"""Metrics that are a mean over texts, whose difference between two models can be paired."""
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RULE = re.compile(
    rf"\s*(?P<metric>[^\s<>=]+)\s*(?P<operator>>=?|<=?)\s*"
    rf"(?:current\s*(?P<offset>[+-]\s*{_NUMBER})?|(?P<bound>[+-]?{_NUMBER}))\s*\Z",
    re.ASCII,
)
_FORM = "write METRIC > current, METRIC >= current - 1, or METRIC >= 80"


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition of a gate: ``accuracy >= current - 1``."""

    text: str
    metric: str
    """Metric's name: ``accuracy``, ``srs@30``, ``srs_excess@20``."""
    above: bool
    """Whether the value must be above the bound; else below."""
    of_current: bool
    """Whether the bound counts from the value of the model that has the alias."""
    bound: float
    """Bound in percentage points, or what is added to that value."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one rule.

        Raises:
            BadInput: it is none, or its metric cannot be judged text by text.
        """
        found = _RULE.match(text)
        if found is None:
            raise BadInput("if", f"{text!r} is no rule; {_FORM}")
        metric = SYNONYMS.get(found["metric"], found["metric"])
        if _kind(metric) not in _OF_TEXTS or find_metric(metric) is None:
            raise BadInput(
                "if",
                f"{metric!r} cannot be judged text by text; use accuracy, srs@K or srs_excess@K",
            )
        number = found["offset"] or found["bound"] or "0"
        return cls(
            text=text.strip(),
            metric=metric,
            above=found["operator"].startswith(">"),
            of_current=found["bound"] is None,
            bound=float("".join(number.split())),
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule found."""

    rule: Rule
    value: float
    """Value of the candidate, percentage points."""
    current: float | None
    """Value of the model that has the alias; ``None``: the rule is of the candidate alone."""
    interval: Interval
    """Interval of their difference, or of the candidate's value, over the texts."""

    @property
    def passed(self) -> bool:
        """Whether the whole interval is beyond the bound; one that reaches it is not."""
        if self.rule.above:
            return self.interval.low > self.rule.bound
        return self.interval.high < self.rule.bound

    @property
    def sentence(self) -> str:
        """A line for people: the rule, both values, and the interval of their difference."""
        of = self.interval
        ends = f"[{of.low:.2f}, {of.high:.2f}]"
        if self.current is None:
            return f"{self.rule.text}: {self.value:.2f} {ends}"
        return (
            f"{self.rule.text}: {self.value:.2f} against {self.current:.2f}, "
            f"difference {of.mean:+.2f} {ends}"
        )

    def to_plain(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        of = self.interval
        return {
            "rule": self.rule.text,
            "passed": self.passed,
            "value": self.value,
            "current": self.current,
            "mean": of.mean,
            "low": of.low,
            "high": of.high,
        }


@dataclass(frozen=True, slots=True)
class Gate:
    """What a model must show to be promoted."""

    rules: tuple[Rule, ...]
    confidence: float = 0.95
    """Confidence of the intervals, in (0, 1)."""
    split: Literal["dev", "test"] | None = None
    """Texts to judge on; ``None``: test where the data have one, as dev has chosen the model."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate found of a candidate."""

    candidate: str
    """Version that was to be promoted."""
    current: str | None
    """Version that has the alias; ``None``: nobody else had it, and rules on it are not judged."""
    split: str
    texts: int
    confidence: float
    judged: tuple[Judged, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule that could be judged is passed."""
        return all(one.passed for one in self.judged)

    def to_plain(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            "candidate": self.candidate,
            "current": self.current,
            "passed": self.passed,
            "split": self.split,
            "texts": self.texts,
            "confidence": self.confidence,
            "rules": [one.to_plain() for one in self.judged],
        }


@dataclass(frozen=True, slots=True)
class Promotion:
    """What became of a study's front."""

    models: tuple[RegisteredModel, ...]
    """Versions of the front, in its order."""
    verdict: Verdict | None
    """What the gate found; ``None``: there was none."""


def promote_study(name: str, stores: Stores, gate: Gate | None = None) -> Promotion:
    """Register a study's front and, if the gate lets it, move the data set's bare aliases to it.

    Args:
        name: of the study.
        stores: where it is.
        gate: what its knee or compromise must show; ``None``: nothing.

    Raises:
        BadInput: there is no such study, or no complete trial that keeps the constraints, or its
            front has no knee or compromise to judge.
        ServiceUnreachable: the tracking server does not answer.
    """
    with load_ledger(name, stores) as ledger:
        result = rank_ledger(ledger)
        if not result.ranked:
            raise BadInput("study", f"{name!r} has {result.nothing_ranked}: nothing to promote")
        store = open_store(stores.home, stores.tracking_uri)
        spec, uid, earlier, verdict = ledger.spec, ledger.uid, earlier_keys(ledger), None

        def register(*, promote: bool) -> tuple[RegisteredModel, ...]:
            return tuple(
                register_front(store, result, uid=uid, spec=spec, earlier=earlier, promote=promote)
            )

        if gate is not None:
            models = register(promote=False)
            candidate, current = chosen_versions(
                store, result.dataset, StudyAliases(result.name, uid, frozenset(earlier))
            )
            if candidate is None:
                why = (
                    "" if result.unbeaten is None else ", as none of its trials beats the baselines"
                )
                raise BadInput(
                    "study",
                    f"{name!r} has no alias for a knee or compromise that could be judged{why}; "
                    f"see safr-study pareto {name}",
                )
            if current is not None and current.version == candidate.version:
                # Nobody is judged against themselves.
                current = None
            verdict = judge_version(candidate, current, gate, stores)
            tag_version(store, candidate, GATE_TAG, json.dumps(verdict.to_plain()))
            if not verdict.passed:
                return Promotion(models, verdict)
        return Promotion(register(promote=True), verdict)


def judge_version(
    candidate: RegisteredModel, current: RegisteredModel | None, gate: Gate, stores: Stores
) -> Verdict:
    """Measure two versions on the same texts, and judge the candidate.

    Both are measured as the candidate's study did, each by the capacity of its own layer.

    Args:
        candidate: to be promoted.
        current: has the alias; ``None``: rules on it are passed over.
        gate: its rules.
        stores: where the models are.

    Raises:
        BadInput: the data have no such split, or other classes than a model.
        TrialFailure: what a model computes is not finite.
    """
    loaded = _load(candidate, stores)
    corpus = load_corpus(loaded.corpus)
    split: SplitName = gate.split or ("dev" if corpus.test is None else "test")
    texts = {"dev": corpus.dev, "test": corpus.test}[split]
    if texts is None:
        raise BadInput("split", f"{corpus.name} has no test split; use dev")
    rules = [rule for rule in gate.rules if current is not None or not rule.of_current]

    def measured(model: LoadedModel) -> Mapping[str, Floats]:
        encoded = model_split(texts, corpus.class_names, model)
        return _of_texts(model, encoded, loaded, [rule.metric for rule in rules], split)

    ours = measured(loaded)
    theirs = {} if current is None else measured(_load(current, stores))
    return Verdict(
        candidate=candidate.version,
        current=None if current is None else current.version,
        split=split,
        texts=texts.examples,
        confidence=gate.confidence,
        judged=tuple(
            judge(rule, ours[rule.metric], theirs.get(rule.metric), gate.confidence)
            for rule in rules
        ),
    )


def judge(rule: Rule, ours: Floats, theirs: Floats | None, confidence: float) -> Judged:
    """Judge one rule by what each text adds to its metric.

    Args:
        rule: of a gate.
        ours: `[N]`, the candidate's, in [-1, 1].
        theirs: `[N]`, of the model that has the alias on the same texts.
        confidence: of the interval, in (0, 1).
    """
    paired = ours - theirs if rule.of_current and theirs is not None else ours
    mean, se = 100 * float(paired.mean()), 100 * float(paired.std()) / float(np.sqrt(len(paired)))
    return Judged(
        rule=rule,
        value=100 * float(ours.mean()),
        current=None if theirs is None or not rule.of_current else 100 * float(theirs.mean()),
        interval=normal_interval(mean, se, confidence),
    )


def _load(version: RegisteredModel, stores: Stores) -> LoadedModel:
    reference = f"{REGISTRY_SCHEME}{version.name}/{version.version}"
    with model_folder(reference, stores) as folder:
        return load_model(folder, device=pick_device(1.0))


def _of_texts(
    model: LoadedModel,
    split: EncodedSplit,
    as_in: LoadedModel,
    metrics: Sequence[str],
    split_name: str,
) -> Mapping[str, Floats]:
    """What each text adds to each metric, `[N]` in [-1, 1]."""
    deletions = {metric: share_of(metric) for metric in metrics if metric != "accuracy"}
    config = as_in.evaluation.model_copy(update={"capacity_layer": model.evaluation.capacity_layer})
    with computing(model.config.threads):
        evaluated = evaluate_model(
            model.model,
            split,
            split_name=split_name,
            config=config,
            want=Wanted(
                shares=tuple(sorted(set(deletions.values()))),
                random=any(_kind(metric) == "srs_excess" for metric in deletions),
            ),
            preset=model.config.preset,
            device=pick_device(1.0),
        )
    right = (evaluated.full == split.labels).astype(np.float64)
    found: dict[str, Floats] = {"accuracy": right}
    for metric, k in deletions.items():
        deleted, before = evaluated.deleted[k], right
        if _kind(metric) == "srs_excess":
            assert deleted.random is not None
            before = (deleted.random == split.labels).mean(axis=0)
        found[metric] = before - (deleted.top == split.labels)
    return found


def _kind(metric: str) -> str:
    return metric.partition("@")[0]
