"""The card of a registered model: what it is, its numbers with intervals, limits and source."""

from __future__ import annotations

from dataclasses import dataclass

from safr_study.checkpoint.manifest import ModelFacts
from safr_study.records import StudyResult, TrialRecord
from safr_study.records.metric_values import MeasuredMetric, measured_metrics
from safr_study.records.warnings import trial_warnings
from safr_study.render.format import seed_half_widths
from safr_study.render.html import rendered
from safr_study.render.text_table import TextTable, markdown_table
from safr_study.render.verdict import COMPROMISE, no_knee, verdict
from safr_study.settings import Objective
from safr_study.text import Z95
from safr_study.uncertainty.confirmation import ConfirmedTrial
from safr_study.uncertainty.intervals import Interval


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model's card says next to what its folder says of itself."""

    model: str
    """Name of the registered model."""
    study: str
    """Study that found it."""
    trial: TrialRecord
    """The trial, with the scores of this very model."""
    objectives: tuple[Objective, ...]
    confirmed: ConfirmedTrial | None = None
    """The trial under new seeds; ``None`` before a confirmation."""
    result: StudyResult | None = None
    """The ranked study as the card is written; ``None``: nothing is said of its front."""

    @property
    def alias(self) -> str:
        """What a user's example names: an alias of the front, whichever it has."""
        chosen = None if self.result is None or self.result.unbeaten else self.result.choice
        return "knee" if chosen is None else str(chosen.choice)

    @property
    def place(self) -> str:
        """What the trial is on its front, as a sentence or two; empty where it is one of many."""
        result = self.result
        if result is None:
            return ""
        said = [one] if (one := verdict(result)) else []
        chosen = result.choice
        if chosen is not None and chosen.trial.number == self.trial.number:
            said.append(
                "It is the front's knee: of all members it lies farthest beyond the line through "
                "the front's ends."
                if chosen.knee
                else f"It is the front's compromise, {COMPROMISE}, and no knee: {no_knee(result)}."
            )
        return " ".join(said)

    @property
    def estimates(self) -> list[tuple[str, Objective, Interval]]:
        """Split, objective and 95 % interval over seeds that took no part in its choice."""
        one = self.confirmed
        return [
            (split, objective, estimate.interval)
            for split, of in ((("dev", one.dev), ("test", one.test)) if one else ())
            for objective, estimate in zip(self.objectives, of, strict=False)
            if estimate.interval is not None
        ]

    def markdown(self, loaded: ModelFacts) -> str:
        """The card; ``loaded`` is what the model's folder says."""
        spec = loaded.corpus
        return rendered(
            "render/assets/model_card.md.jinja",
            card=self,
            trial=self.trial,
            loaded=loaded,
            over_seeds=self._over_seeds(),
            measured=self._measured(),
            warnings=trial_warnings(self.trial),
            limits=[
                f"{limit:,} {split} texts"
                for split, limit in (("train", spec.train_limit), ("dev", spec.dev_limit))
                if limit is not None
            ],
        )

    def _over_seeds(self) -> str:
        """Means over new seeds, else over those of the search; empty without either."""
        rows = [(o, split, i.mean, i.low, i.high) for split, o, i in self.estimates]
        halves = seed_half_widths(self.trial)
        if not rows and halves is not None:
            means = zip(self.objectives, self.trial.values or (), halves, strict=True)
            rows = [(o, "dev", mean, mean - half, mean + half) for o, mean, half in means]
        texts = [
            (o.label, split, f"{mean:.2f}", _ends(low, high), o.measure.unit)
            for o, split, mean, low, high in rows
        ]
        columns = ("metric", "of", ">mean", "95 % interval", "unit")
        return markdown_table(TextTable("seeds", columns, texts)) if rows else ""

    def _measured(self) -> str:
        """Everything measured of this very model, the objectives first."""
        if self.trial.scores is None:
            return ""
        wanted = {objective.name for objective in self.objectives}
        # Layers have tables of their own in evaluate.
        found = [one for one in measured_metrics(self.trial.scores) if "." not in one.name]
        rows = [_row(one) for one in sorted(found, key=lambda one: one.name not in wanted)]
        columns = ("metric", ">value", "95 % interval", "unit", "better")
        return markdown_table(TextTable("dev", columns, rows))


def shortened(card: str, most: int) -> str:
    """The whole sections of a card that fit, with a word on where the others are.

    Args:
        card: Markdown.
        most: characters.
    """
    if len(card) <= most:
        return card
    note = "\nThe whole card is README.md among the model's files.\n"
    end = card.rfind("\n## ", 0, most - len(note) + len("\n## "))
    return card[: end if end > 0 else most - len(note)] + note


def _row(one: MeasuredMetric) -> tuple[str, ...]:
    half = None if one.se is None else Z95 * one.se
    interval = "" if half is None else _ends(one.value - half, one.value + half)
    label = one.label + (f" ({one.note})" if one.note else "")
    return (label, f"{one.value:.2f}", interval, one.unit, one.direction)


def _ends(low: float, high: float) -> str:
    return f"{low:.2f} to {high:.2f}"
