"""SAFR, its baselines and its rivals on one corpus, by every measure of an explanation.

    PYTHONPATH=tests python -m benchmarks.scorecard --help

Each rival to SAFR's penalties at two weights, without VMASK, as in the space ``rivals``. Each
finished training, measured on test, is a line of ``docs/results/scorecard.jsonl`` and never paid
for twice; an interrupted one goes on after its last whole epoch. ``docs/results/scorecard.md`` has
means over the seeds, the differences from the model without VMASK, and what disagrees.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measured import described
from benchmarks.trained_models import Line, Measurement, limited
from safr_study.features.report.scorecard import scorecard_wanted
from safr_study.render.cause_tables import disagreeing
from safr_study.render.scorecard import scorecard_metrics, scorecard_values
from safr_study.render.text_table import TextTable, markdown_table
from safr_study.settings import Objective
from safr_study.text import listed
from safr_study.uncertainty.confirmation import SHOWN_SEEDS
from safr_study.uncertainty.intervals import Interval, t_interval

K = 0.3
BASE = "no VMASK"
"""The model that the others are set against."""
_PLAIN: dict[str, Any] = {"lambda_imp": None, "lambda_inter": None}
_NO_GATE = {"vmask": False}
MODELS: dict[str, Mapping[str, Any]] = {
    BASE: {"shape": _NO_GATE, "penalties": _PLAIN},
    "VMASK only": {},
    "SAFR (1, 0.1)": {"penalties": {"lambda_imp": 1.0, "lambda_inter": 0.1}},
    "L1 1": {"shape": _NO_GATE, "penalties": {**_PLAIN, "lambda_l1": 1.0}},
    "L1 10": {"shape": _NO_GATE, "penalties": {**_PLAIN, "lambda_l1": 10.0}},
    "orthogonality 1000": {"shape": _NO_GATE, "penalties": {**_PLAIN, "lambda_ortho": 1e3}},
    "orthogonality 10000": {"shape": _NO_GATE, "penalties": {**_PLAIN, "lambda_ortho": 1e4}},
    "Top-K 0.2": {"shape": {**_NO_GATE, "ffn_topk": 0.2}, "penalties": _PLAIN},
    "Top-K 0.05": {"shape": {**_NO_GATE, "ffn_topk": 0.05}, "penalties": _PLAIN},
    "SAFR (30, 0)": {"penalties": {"lambda_imp": 30.0, "lambda_inter": 0.0}},
}
KNEE_OF_ENCODER = "SAFR (30, 0)"
"""Of the study over MiniLM in docs/results.md; from scratch it is left out."""
OVER_ENCODER = (BASE, "VMASK only", KNEE_OF_ENCODER)
FROM_SCRATCH = tuple(name for name in MODELS if name != KNEE_OF_ENCODER)
FINE_TUNING: dict[str, Any] = {
    "learning_rate": 5e-5,
    "warmup": 0.1,
    "decay": "linear",
    "epochs": 3,
    "patience": 3,
}
IN_SHORT = ("srs_excess", "contrast", "comprehensiveness")
"""Measures whose differences are said in words alone: like SRS they take the top words away."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model of one kind, over its seeds."""

    encoder: str | None
    model: str
    lines: Sequence[Line]

    def values(self, metric: str) -> dict[int, float]:
        """One measure by seed."""
        found = {line.seed: scorecard_values(line.scores, K).get(metric) for line in self.lines}
        return {seed: measure.value for seed, measure in found.items() if measure is not None}

    @property
    def unsure(self) -> frozenset[str]:
        """Effects that change sign with what takes a neuron's place, in some seed."""
        return frozenset(name for line in self.lines for name in disagreeing(line.scores))


def cards_of(lines: Sequence[Line]) -> list[Card]:
    """In the order of the table."""
    order = list(MODELS)
    kinds = {(one.encoder, one.model + limited(one), one.model) for one in lines}
    return [
        Card(
            encoder,
            shown,
            sorted(
                (o for o in lines if (o.encoder, o.model + limited(o)) == (encoder, shown)),
                key=lambda one: one.seed,
            ),
        )
        for encoder, shown, model in sorted(
            kinds, key=lambda kind: (kind[0] or "", order.index(kind[2]), kind[1])
        )
    ]


def difference(card: Card, base: Card, metric: str) -> Interval | None:
    """Mean over the seeds of both of card minus base, and its Student-t 95 % interval.

    ``None`` with fewer than three seeds in common.
    """
    mine, theirs = card.values(metric), base.values(metric)
    gaps = [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]
    return t_interval(gaps) if len(gaps) >= SHOWN_SEEDS else None


def markdown(lines: Sequence[Line]) -> str:
    """The tables for people: means, paired differences from the base, and where they disagree."""
    cards = cards_of(lines)
    names = [n for n in scorecard_metrics(K) if any(card.values(n) for card in cards)]
    heads = []
    for name in names:
        objective = Objective(name=name)
        heads.append(f">{objective.label} {'↑' if objective.maximise else '↓'}")
    first = ("encoder", "model", ">seeds")
    means = TextTable(
        "means", (*first, *heads), [(*_named(c), *(_mean(c, n) for n in names)) for c in cards]
    )
    bases = {card.encoder: card for card in cards if card.model == BASE}
    told = [at for at, name in enumerate(names) if not name.startswith(IN_SHORT)]
    rows, sentences = [], []
    for card in cards:
        base = bases.get(card.encoder)
        if base is None or card is base:
            continue
        gaps = {name: difference(card, base, name) for name in names}
        if any(gap is not None for gap in gaps.values()):
            rows.append((*_named(card), *(_gap(gaps[names[at]]) for at in told)))
            sentences.append(_sentence(card, gaps))
    gaps_table = TextTable("differences", (*first, *(heads[at] for at in told)), rows)
    where = sorted({described(one.machine) for one in lines})
    return "\n".join(
        [
            "# SAFR, its baselines and its rivals (`sst2-treebank`)",
            "",
            "Made by `python -m benchmarks.scorecard` from `scorecard.jsonl`, which has the "
            "settings of each line. Test; deletions, neurons taken away and their controls at "
            f"k = {100 * K:.0f} %. Means over the seeds. An effect with * changes sign with what "
            "takes a neuron's place (its mean, zero, another word's) in at least one seed, so that "
            "nothing follows from it.",
            "",
            markdown_table(means),
            "",
            "Differences from the model without VMASK of the same seed: mean and Student-t 95 % "
            "interval over the seeds. Of so many intervals one in twenty misses 0 by chance.",
            "",
            markdown_table(gaps_table),
            "",
            *(f"- {sentence}" for sentence in sentences),
            "",
            *(f"{one}." for one in where),
            "",
        ]
    )


def _named(card: Card) -> tuple[str, str, str]:
    return card.encoder or "from scratch", card.model, str(len(card.lines))


def _mean(card: Card, metric: str) -> str:
    values = list(card.values(metric).values())
    if not values:
        return ""
    mean = float(np.mean(values))
    return f"{mean:.{_decimals(mean)}f}{'*' if metric in card.unsure else ''}"


def _gap(gap: Interval | None) -> str:
    if gap is None:
        return ""
    decimals = _decimals(max(abs(gap.low), abs(gap.high)))
    return f"{gap.mean:+.{decimals}f} [{gap.low:.{decimals}f}, {gap.high:.{decimals}f}]"


def _decimals(value: float) -> int:
    return 2 if abs(value) >= 2 else 3


def _sentence(card: Card, gaps: Mapping[str, Interval | None]) -> str:
    """What is better, worse, and not told apart from the base."""
    found: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
    for name, gap in gaps.items():
        if gap is None:
            continue
        objective = Objective(name=name)
        low, high = sorted(objective.sign * end for end in (gap.low, gap.high))
        verdict = "better" if low > 0 else "worse" if high < 0 else "not told apart"
        found[verdict].append(objective.label)
    parts = [f"{listed(labels)} {verdict}" for verdict, labels in found.items() if labels]
    return f"{card.model}, {card.encoder or 'from scratch'}: {'; '.join(parts)}."


MEASUREMENT = Measurement(
    name="scorecard",
    dataset="sst2-treebank",
    models=MODELS,
    fine_tuning=FINE_TUNING,
    want=scorecard_wanted(K, causes=True),
    markdown=markdown,
    from_scratch=FROM_SCRATCH,
    over_encoder=OVER_ENCODER,
)


def main(given: Sequence[str] | None = None) -> int:
    """Train what the file lacks, and make the tables; 130 when it was interrupted."""
    return MEASUREMENT.main(given, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
