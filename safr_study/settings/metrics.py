"""Every metric by name: its unit, its direction, and what has to be measured for it.

The one place for these facts; what each number means is in the records' fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from safr_study.settings.layers import LAYERS

Ranking = Literal[
    "capacity",
    "keep_probability",
    "norm",
    "inverse_frequency",
    "position",
    "random",
    "gradient_x_input",
]
CURVE_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""k of the deletion curves (definitions, section 3.5)."""
Need = Literal[
    "random",
    "bottom",
    "alone",
    "curve",
    "leave_one_out",
    "rationale",
    "superposition",
    "two_classes",
    "pairs",
    "groups",
    "causes",
    "interchange",
    "naopc",
]
"""What a metric takes in addition to one pass over the texts and one for each k, and what it asks
of the data: a gold rationale, two classes, pairs of texts, texts that belong together."""
Replacement = Literal["mean", "zero", "resample"]
"""What takes the place of a neuron's activation where it is taken away: its mean over training
tokens, 0, or its activation at a random token of another text."""
REPLACEMENTS: tuple[Replacement, ...] = get_args(Replacement)
_PERCENT = re.compile(r"[1-9]\d{0,2}(\.\d+)?\Z", re.ASCII)
"""One way to write a number, as it becomes a name."""
POINTS = "points"
"""Percentage points."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One kind of number that a model can be measured by."""

    label: str
    """Label in an axis or a table."""
    unit: str
    """``points`` (percentage points), ``nats``, ``share`` (0 to 1), or empty for a pure number."""
    maximise: bool
    """Whether more is better."""
    reference: float | Callable[[Sequence[int]], float]
    """The value of a model that is good for nothing, from which a front's hypervolume is measured;
    where it depends on the data, a function of the number of texts of each class."""
    needs: tuple[Need, ...] = ()

    @property
    def direction(self) -> str:
        """Which values are better: ``higher`` or ``lower``."""
        return "higher" if self.maximise else "lower"

    def reference_value(self, classes: Sequence[int]) -> float:
        """Value of a model that is good for nothing, in the metric's unit.

        Args:
            classes: number of texts of each class in the split, at least one in all.
        """
        return self.reference(classes) if callable(self.reference) else self.reference


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured of a model."""

    shares: tuple[float, ...] = ()
    """k of the deletions, ascending."""
    random: bool = False
    """Random deletions, for SRS_excess and headroom."""
    bottom: bool = False
    """Bottom deletions, for contrast."""
    alone: bool = False
    """The top tokens alone, for sufficiency."""
    sides: bool = False
    """Deletions on either side of pairs."""
    leave_one_out: bool = False
    """Kendall's tau on the sample of texts."""
    superposition: bool = False
    """The measures of every layer, on the sample of texts."""
    causes: tuple[float, ...] = ()
    """k at which neurons are taken away, ascending; each is among ``shares``."""
    naopc: bool = False
    """The ranking between the worst and the best order, on the sample of short texts."""
    interchange: bool = False
    """Neurons exchanged between the texts of a group, where the data have groups."""
    agreements: tuple[Ranking, ...] = ()
    """Rankings to compare with a gold rationale, where the data have one."""
    controls: tuple[Ranking, ...] = ()
    """Rankings to delete by, next to capacity."""
    control_shares: tuple[float, ...] = (0.3,)
    """k of their deletions."""

    def passes(self, draws: int) -> int:
        """Passes over the texts: one, and one for each deletion, of the random ones ``draws``."""
        return 1 + len(self.shares) * (1 + draws * self.random + self.bottom + self.alone)


CONTROLS: tuple[Ranking, ...] = tuple(name for name in get_args(Ranking) if name != "capacity")
"""Every ranking but capacity."""


def everything(shares: Iterable[float] = (), *, quick: bool = False) -> Wanted:
    """All metrics, at the k of the curve and at these.

    Args:
        shares: more k, each in (0, 1].
        quick: without leave-one-out, NAOPC, other rankings, the layers, and what neurons cause.
    """
    every = tuple(sorted({*shares, *(share for share in CURVE_SHARES if share)}))
    return Wanted(
        shares=every,
        random=True,
        bottom=True,
        alone=True,
        sides=True,
        leave_one_out=not quick,
        superposition=not quick,
        agreements=("capacity",) if quick else ("capacity", *CONTROLS),
        controls=() if quick else CONTROLS,
        causes=() if quick else every,
        interchange=not quick,
        naopc=not quick,
    )


def majority_accuracy(classes: Sequence[int]) -> float:
    """Accuracy of always naming the most frequent class, percentage points.

    Args:
        classes: number of texts of each class.
    """
    return 100.0 * int(max(classes)) / int(sum(classes))


def _certainty_ece(classes: Sequence[int]) -> float:
    """Calibration error of naming the most frequent class with certainty: how often it is wrong.

    A model that gives every class its share has none, as it is calibrated: no place to begin from.
    """
    return 100.0 - majority_accuracy(classes)


def _chance_recall(classes: Sequence[int]) -> float:
    """Balanced accuracy of always naming one class: 100 / classes present."""
    return 100.0 / _present(classes)


def _majority_f1(classes: Sequence[int]) -> float:
    """Macro F1 of always naming the most frequent class: precision p, recall 1, 0 for the rest."""
    share = majority_accuracy(classes) / 100.0
    return 100.0 * 2.0 * share / (1.0 + share) / _present(classes)


def _prior_brier(classes: Sequence[int]) -> float:
    """Brier score of always giving each class its share: 1 - sum of the squared shares."""
    return 1.0 - sum((count / sum(classes)) ** 2 for count in classes)


def _prior_log_loss(classes: Sequence[int]) -> float:
    """Log loss of always giving each class its share: the entropy of the shares, nats."""
    shares = [count / sum(classes) for count in classes if count]
    return -sum(share * math.log(share) for share in shares)


def _present(classes: Sequence[int]) -> int:
    return sum(count > 0 for count in classes)


def replaced(kind: str, replacement: Replacement) -> str:
    """Name of a causal measure with one of `REPLACEMENTS`; that with the mean has the plain name.

    ``neuron_effect`` and ``zero`` is ``neuron_effect_zero``.
    """
    return kind if replacement == REPLACEMENTS[0] else f"{kind}_{replacement}"


def _of_causes(kinds: Mapping[str, str], *needs: Need) -> dict[str, Metric]:
    """One metric of each kind, by its label, and replacement."""
    return {
        replaced(kind, by): Metric(label if kind == replaced(kind, by) else f"{label}, {by}",
                                   "", True, 0.0, needs)
        for kind, label in kinds.items()
        for by in REPLACEMENTS
    }  # fmt: skip


AT_K: dict[str, Metric] = {
    "srs": Metric("SRS", POINTS, True, 0.0),
    "srs_first": Metric("SRS of the first text", POINTS, True, 0.0, ("pairs",)),
    "srs_second": Metric("SRS of the second text", POINTS, True, 0.0, ("pairs",)),
    "srs_excess": Metric("SRS excess", POINTS, True, 0.0, ("random",)),
    "contrast": Metric("contrast", POINTS, True, 0.0, ("bottom",)),
    "headroom": Metric("headroom", "", True, 0.0, ("random",)),
    "comprehensiveness": Metric("comprehensiveness", POINTS, True, 0.0),
    "sufficiency": Metric("sufficiency", POINTS, False, 100.0, ("alone",)),
    "log_odds": Metric("log-odds", "nats", False, 0.0),
    "flip_rate": Metric("flip rate", POINTS, True, 0.0),
    **_of_causes(
        {
            "neuron_effect": "neuron effect",
            "capacity_effect": "capacity effect",
            "neuron_sufficiency": "neuron sufficiency",
        },
        "causes",
    ),
}
"""Metrics of the top share k of the words: their names end in ``@K``, K in percent of the tokens.
All are of one deletion but those that need ``causes``, where neurons are taken away."""

OF_MODEL: dict[str, Metric] = {
    "accuracy": Metric("accuracy", POINTS, True, majority_accuracy),
    "macro_f1": Metric("macro F1", POINTS, True, _majority_f1),
    "balanced_accuracy": Metric("balanced accuracy", POINTS, True, _chance_recall),
    "ece": Metric("calibration error", POINTS, False, _certainty_ece),
    "brier": Metric("Brier score", "", False, _prior_brier),
    "log_loss": Metric("log loss", "nats", False, _prior_log_loss),
    "class_auroc": Metric("AUROC of the classes", "share", True, 0.5, ("two_classes",)),
    "consistency": Metric("consistency", POINTS, True, 0.0, ("groups",)),
    "srs_auc": Metric("AUC of SRS", POINTS, True, 0.0, ("curve",)),
    "srs_excess_auc": Metric("AUC of SRS excess", POINTS, True, 0.0, ("curve", "random")),
    "comprehensiveness_aopc": Metric("AOPC of comprehensiveness", POINTS, True, 0.0, ("curve",)),
    "sufficiency_aopc": Metric("AOPC of sufficiency", POINTS, False, 100.0, ("curve", "alone")),
    "naopc": Metric("NAOPC", "share", True, 0.0, ("naopc",)),
    "kendall_tau": Metric("Kendall tau-b", "", True, 0.0, ("leave_one_out",)),
    "average_precision": Metric("average precision", "share", True, 0.0, ("rationale",)),
    "auroc": Metric("AUROC", "share", True, 0.5, ("rationale",)),
    "precision_at_gold": Metric("token F1 (P@|gold|)", "share", True, 0.0, ("rationale",)),
    "iou_f1": Metric("IOU F1", "share", True, 0.0, ("rationale",)),
    "gate_openness": Metric("gate openness", "share", False, 1.0),
    **_of_causes({"neuron_sufficiency_auc": "AUC of neuron sufficiency"}, "curve", "causes"),
    "interchange": Metric("interchange", POINTS, True, 0.0, ("groups", "interchange")),
}
"""Metrics of the whole model; those of a rationale are of the ranking by capacity."""

OF_LAYER: dict[str, Metric] = {
    name: Metric(label, unit, maximise, reference, ("superposition",))
    for name, label, unit, maximise, reference in (
        ("mean_capacity", "mean capacity", "share", True, 0.0),
        ("mean_capacity_important", "capacity of important tokens", "share", True, 0.0),
        ("mean_capacity_less_important", "capacity of less important tokens", "share", True, 0.0),
        ("total_capacity_share", "total capacity / min(n, D)", "share", True, 0.0),
        ("interference_energy", "interference energy", "share", False, 1.0),
        ("mean_cosine", "mean |cos|", "share", False, 1.0),
        ("participation_ratio", "participation ratio", "", True, 1.0),
        ("effective_rank", "effective rank", "", True, 1.0),
        ("stable_rank", "stable rank", "", True, 1.0),
        ("hoyer_sparsity", "Hoyer sparsity", "share", True, 0.0),
        ("active_share", "active neurons", "share", False, 1.0),
        ("dead_share", "dead neurons", "share", False, 1.0),
        ("mean_norm", "mean norm", "", True, 0.0),
        ("token_entropy", "entropy of words by neuron", "nats", False, 0.0),
        ("always_on_share", "neurons always on", "share", False, 1.0),
    )
}
"""Superposition measures: their names end in ``.LAYER``, one of `LAYERS`, of the last block."""

OF_NEURONS = ("active_share", "dead_share", "token_entropy", "always_on_share")
"""Superposition measures of single neurons, which the layer ``ffn1_post`` alone has."""

SYNONYMS = {"token_f1": "precision_at_gold"}
"""Other names of a metric: the one it is kept under. With as many tokens as the gold rationale has,
ERASER's token F1 is precision@|gold|."""

OF_CLASSES = ("macro_f1", "balanced_accuracy", "ece", "brier", "log_loss", "class_auroc")
"""Metrics of the predicted classes and of their probabilities, beside accuracy."""
OF_CURVE = tuple(
    name
    for name, metric in OF_MODEL.items()
    if "curve" in metric.needs and "causes" not in metric.needs
)
"""Metrics of the whole deletion curve."""
OF_RATIONALE = tuple(name for name, metric in OF_MODEL.items() if "rationale" in metric.needs)
"""Metrics of a ranking's agreement with a gold rationale."""

NAMING = (
    "accuracy, srs@K and other metrics of a deletion (@K, K in percent from 1 to 100, for example "
    "srs@30), of the model, or of a layer (.LAYER, for example mean_capacity.ffn1_pre); "
    "see safr-study metrics"
)


def find_metric(name: str) -> Metric | None:
    """The metric of an objective's name; ``None`` if there is no such name."""
    kind, at, percent = name.partition("@")
    if at:
        written = _PERCENT.match(percent) is not None and float(percent) <= 100
        return AT_K.get(kind) if written else None
    kind, dot, layer = name.partition(".")
    if dot:
        has = layer == "ffn1_post" or kind not in OF_NEURONS
        return OF_LAYER.get(kind) if has and layer in LAYERS else None
    return OF_MODEL.get(name)


def wanted(names: Iterable[str]) -> Wanted:
    """What the metrics of these names need; names that are none are left out."""
    shares: set[float] = set()
    causes: set[float] = set()
    needs: set[Need] = set()
    for name in names:
        metric = find_metric(name)
        if metric is None:
            continue
        needs.update(metric.needs)
        own = {share_of(name)} if "@" in name else set()
        if "curve" in metric.needs:
            own |= {share for share in CURVE_SHARES if share}
        shares |= own
        causes |= own if "causes" in metric.needs else set()
    return Wanted(
        shares=tuple(sorted(shares)),
        random="random" in needs,
        bottom="bottom" in needs,
        alone="alone" in needs,
        sides="pairs" in needs,
        leave_one_out="leave_one_out" in needs,
        superposition="superposition" in needs,
        agreements=("capacity",) if "rationale" in needs else (),
        causes=tuple(sorted(causes)),
        interchange="interchange" in needs,
        naopc="naopc" in needs,
    )


def at_k(kind: str, k: float) -> str:
    """Name of a number of the deletion of the share k: ``srs@30`` of ``srs`` and 0.3."""
    return f"{kind}@{100 * k:g}"


def percent_of(name: str) -> str:
    """K of a metric's name that ends in ``@K``, as it is written."""
    return name.partition("@")[2]


def share_of(name: str) -> float:
    """Share k of a metric's name that ends in ``@K``, in (0, 1]."""
    return float(percent_of(name)) / 100
