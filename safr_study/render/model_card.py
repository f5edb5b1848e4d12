"""The card of a registered model: what it is, its numbers with intervals, limits and source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from safr_study.checkpoint.manifest import ModelFacts
from safr_study.records import TrialRecord
from safr_study.records.metric_values import MeasuredMetric, measured_metrics
from safr_study.records.warnings import trial_warnings
from safr_study.render.format import seed_half_widths
from safr_study.render.text_table import TextTable, markdown_table
from safr_study.settings import Objective
from safr_study.text import Z95

_FEW_CLASSES = 20
"""Classes that are named one by one."""

CITATION = """\
@inproceedings{chang2025safr,
  title     = {{SAFR}: Neuron Redistribution for Interpretability},
  author    = {Chang, Ruidi and Deng, Chunyuan and Chen, Hanjie},
  booktitle = {Findings of the Association for Computational Linguistics: NAACL 2025},
  year      = {2025},
  url       = {https://arxiv.org/abs/2501.16374}
}"""


@dataclass(frozen=True, slots=True)
class CardEstimate:
    """One metric over seeds that did not take part in the choice of the model."""

    split: str
    """``dev`` or ``test``."""
    label: str
    unit: str
    mean: float
    low: float
    """End of the 95 % interval."""
    high: float


def model_card(
    name: str,
    study: str,
    trial: TrialRecord,
    loaded: ModelFacts,
    objectives: Sequence[Objective],
    *,
    estimates: Sequence[CardEstimate] = (),
    seeds: int = 0,
) -> str:
    """A model's card as Markdown.

    Args:
        name: of the registered model.
        study: that found it.
        trial: whose model it is.
        loaded: what its folder says.
        objectives: of the study.
        estimates: what a confirmation measured; empty before one.
        seeds: behind the estimates.
    """
    sections = (
        (f"{name}: {trial.label}", _what(study, trial, loaded)),
        ("Use", _use(name)),
        ("Numbers", _numbers(trial, objectives, estimates, seeds)),
        ("Limits", _bullets(_limits(trial, loaded, confirmed=bool(estimates)))),
        ("Data", _data(loaded)),
        ("Training", _training(trial, loaded)),
        (
            "How to cite",
            "The method is of the SAFR paper; this model comes from safr-study, an independent "
            f"implementation.\n\n```bibtex\n{CITATION}\n```",
        ),
    )
    return "\n".join(
        f"{'#' if place == 0 else '##'} {heading}\n\n{text}\n"
        for place, (heading, text) in enumerate(sections)
    )


def shortened(card: str, most: int) -> str:
    """The whole sections of a card that fit, with a word on where the others are.

    Args:
        card: Markdown.
        most: characters.
    """
    if len(card) <= most:
        return card
    note = "\nThe whole card is README.md among the model's files.\n"
    kept = ""
    for section in card.split("\n## "):
        longer = f"{kept}\n## {section}" if kept else section
        if len(longer) + len(note) > most:
            break
        kept = longer
    return (kept or card[: most - len(note)]) + note


def _what(study: str, trial: TrialRecord, loaded: ModelFacts) -> str:
    shape = loaded.config.shape
    names = loaded.class_names
    shown = ", ".join(names[:_FEW_CLASSES]) + (", ..." if len(names) > _FEW_CLASSES else "")
    blocks = "one Transformer block" if shape.layers == 1 else f"{shape.layers} Transformer blocks"
    return (
        f"A SAFR text classifier of {len(names)} classes ({shown}): {blocks}, "
        f"{'with' if shape.vmask else 'without'} a VMASK word mask. Beside the label and its "
        "probability it gives each word's neuron capacity, its share of neurons of its own, in "
        f"[0, 1]. Trial {trial.number} of study {study}."
    )


def _use(name: str) -> str:
    return (
        "Install safr-study and set `MLFLOW_TRACKING_URI`; `@knee` is an alias, `/3` a version.\n\n"
        "```python\n"
        "import mlflow\n"
        f'model = mlflow.pyfunc.load_model("models:/{name}@knee")\n'
        'model.predict(["a gripping , funny film"])\n'
        "```\n\n"
        "```sh\n"
        f'safr-study explain models:/{name}@knee "a gripping , funny film"\n'
        f"mlflow models serve -m models:/{name}@knee --env-manager local --port 5001\n"
        "curl -H 'Content-Type: application/json' -d '{\"inputs\": [\"a gripping , funny film\"]}' "
        "http://127.0.0.1:5001/invocations\n"
        "```"
    )


def _numbers(
    trial: TrialRecord,
    objectives: Sequence[Objective],
    estimates: Sequence[CardEstimate],
    seeds: int,
) -> str:
    parts = []
    halves = seed_half_widths(trial)
    over_seeds = tuple(
        (one.label, one.split, f"{one.mean:.2f}", _ends(one.low, one.high), one.unit)
        for one in estimates
    )
    if over_seeds:
        parts.append(
            f"Means over {seeds} seeds that the search did not use, with 95 % intervals over the "
            "seeds. This model is the run nearest to the means on dev."
        )
    elif halves is not None:
        over_seeds = tuple(
            (o.label, "dev", f"{mean:.2f}", _ends(mean - half, mean + half), o.measure.unit)
            for o, mean, half in zip(objectives, trial.values or (), halves, strict=True)
        )
        parts.append(
            f"Means over the search's {len(trial.replicates)} seeds, with 95 % intervals over the "
            "seeds."
        )
    if over_seeds:
        columns = ("metric", "of", ">mean", "95 % interval", "unit")
        parts.append(markdown_table(TextTable("seeds", columns, over_seeds)))
    if trial.scores is not None:
        wanted = {objective.name for objective in objectives}
        # Layers have tables of their own in evaluate.
        found = [one for one in measured_metrics(trial.scores) if "." not in one.name]
        rows = tuple(map(_row, sorted(found, key=lambda one: one.name not in wanted)))
        columns = ("metric", ">value", "95 % interval", "unit", "better")
        parts += [
            f"One seed's model on {trial.scores.examples:,} dev texts; the intervals (95 %, "
            "normal) cover the texts, not the seeds. The largest class has "
            f"{trial.scores.values['majority_accuracy'].value:.2f} % of the texts.",
            markdown_table(TextTable("dev", columns, rows)),
        ]
    return "\n\n".join(parts) or "Nothing was measured of it."


def _row(one: MeasuredMetric) -> tuple[str, ...]:
    half = None if one.se is None else Z95 * one.se
    interval = "" if half is None else _ends(one.value - half, one.value + half)
    label = one.label + (f" ({one.note})" if one.note else "")
    return (label, f"{one.value:.2f}", interval, one.unit, one.direction)


def _ends(low: float, high: float) -> str:
    return f"{low:.2f} to {high:.2f}"


def _limits(trial: TrialRecord, loaded: ModelFacts, *, confirmed: bool) -> list[str]:
    kept = f"It reads the first {loaded.max_len} words of a text, split at white space"
    limits = [
        f"{kept}, and takes words outside its vocabulary of {len(loaded.vocabulary):,} for one "
        "unknown word: give it texts tokenised as its training texts were.",
        "Capacity says how much of a neuron direction a word has for itself. It is no proof that "
        "the word caused the prediction; SRS measures how far deleting by it hurts.",
        "It was not examined for bias against groups, for other domains, or for safety.",
    ]
    if not confirmed:
        limits.insert(
            0,
            "The search chose it among others by these very numbers on dev, so they are too good; "
            "`safr-study confirm` measures it under new seeds and on test.",
        )
    return [*trial_warnings(trial), *limits]


def _data(loaded: ModelFacts) -> str:
    spec = loaded.corpus
    limits = [
        f"{limit:,} {split} texts"
        for split, limit in (("train", spec.train_limit), ("dev", spec.dev_limit))
        if limit is not None
    ]
    cut = f", at most {' and '.join(limits)}" if limits else ""
    return f"`{spec.dataset}`{cut}. SHA-256 of the encoded texts: `{loaded.corpus_fingerprint}`."


def _training(trial: TrialRecord, loaded: ModelFacts) -> str:
    config = loaded.config
    changed = ", ".join(f"`{name}` {value}" for name, value in trial.parameters.items())
    return (
        f"Preset `{config.preset}`, learning rate {config.learning_rate:g}, batch "
        f"{config.batch_size}, seed {config.seed}, epoch {loaded.epoch} of at most "
        f"{config.epochs}. Set by the trial: {changed or 'nothing'}. "
        f"SHA-256 of the weights: `{loaded.ref.sha256}`."
    )


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
