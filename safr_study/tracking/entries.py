"""What is logged of a study and its trials, and under which names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mlflow.entities import Metric
from pydantic import ValidationError

from safr_study.records import (
    EpochReport,
    Provenance,
    RankedTrial,
    Scores,
    StudyResult,
    TrialRecord,
    TrialState,
)
from safr_study.records.study import HistoryPoint
from safr_study.records.warnings import trial_warnings
from safr_study.settings import (
    AT_K,
    OF_LAYER,
    OF_MODEL,
    Objective,
    StudySpec,
    at_k,
    flat_settings,
    trial_config,
)
from safr_study.settings import Metric as CataloguedMetric
from safr_study.text import unit_words

STUDY_TAG = "safr.study"
UID_TAG = "safr.uid"
KIND_TAG = "safr.kind"
TRIAL_TAG = "safr.trial"
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
"""Tag with Markdown, which MLflow's page shows as the description."""
FAILURE_TAG = "safr.failure"
EPOCHS_TAG = "safr.epochs"
"""Tag of a trial's run: the metrics of every epoch up to this one are written."""
_MODEL_METRICS = tuple(name for name in OF_MODEL if name not in ("accuracy", "log_loss"))
"""All but those of every epoch, which have names of their own, as they are of the best one."""
_COST_UNITS = ("core_hours", "gpu_hours", "kwh")
_POINTS, _SHARE, _PURE = unit_words("points"), "share, 0 to 1", "pure number"

_MEANINGS: dict[str, tuple[str, str]] = {
    "objective/NAME": ("an objective of the study, on dev", "as its metric"),
    "rung/NAME": ("an objective at a rung, on a part of dev", "as its metric"),
    "train/{loss,cross_entropy,vmask_information}": ("mean over the epoch", "nats"),
    "train/{importance,interaction,l1,orthogonality}": (
        "a penalty, unweighted, mean over the epoch",
        _PURE,
    ),
    "dev/[best_,majority_]accuracy": ("accuracy", _POINTS),
    "dev/accuracy_se": ("its standard error, from the examples", _POINTS),
    "dev/[best_]loss": ("mean cross-entropy, the log loss", "nats"),
    "dev/examples": ("texts measured", "texts"),
    "dev/best_epoch": ("the epoch whose state is the model", "epoch"),
    "deletion/realised_share_K": ("tokens that were really deleted", _SHARE),
    "deletion/dominant_share_K": ("of the most frequent prediction after the deletion", _SHARE),
    "deletion/accuracy_K": ("accuracy after a deletion", _POINTS),
    "deletion/mcnemar_p_K": ("p of McNemar's test, top against random deletion", _SHARE),
    "deletion/saturated[_K]": ("1: the predictions collapsed to one class", "0 or 1"),
    "gate/openness": ("mean keep-probability of VMASK on dev", _SHARE),
    "embedding/mean_norm": ("mean norm of the masked embeddings on dev", _PURE),
    "effective/NAME": ("gradient norm of a penalty over that of the cross-entropy", _PURE),
    "time/NAME": ("wall time", "seconds"),
    "system/..._megabytes": ("memory", "megabytes"),
    "system/..._percentage": ("of the processor or the memory", "percent"),
    "pareto_rank": ("number of the front; 0 = not dominated", _PURE),
    "on_front": ("1: no other trial dominates it", "0 or 1"),
    "crowding": ("crowding distance inside its front", _PURE),
    "hypervolume": ("of the front; step = trials ended", "product of the objectives' units"),
    "front/size": ("trials on the front", "trials"),
    "trials/NAME": ("trials of the study, by state", "trials"),
    "cost/[STATE/]core_hours": ("hours times cores set aside for trials", "core-hours"),
    "cost/[STATE/]gpu_hours": ("hours times GPUs, or shares of one", "GPU-hours"),
    "cost/[STATE/]kwh": ("energy by RAPL and NVML, where they can be read", "kWh"),
}
"""Metrics next to those of `settings.metrics`: what each is, and its unit. ``{a,b}`` is one of
these, ``[a,b]`` one or none, a word in capitals any."""


def study_params(spec: StudySpec) -> dict[str, str]:
    """The settings that change a number, flattened: ``train.shape.heads`` and so on.

    The others may change on resume, and MLflow's parameters may not: those are tags.
    """
    settings = flat_settings(spec.settings_that_change_numbers())
    return {_clean(key): _text(value) for key, value in settings.items()}


def study_tags(spec: StudySpec, corpus_facts: Mapping[str, int | str]) -> dict[str, str]:
    """What a study's run says next to its settings; may change when the study is resumed."""
    facts = {_clean(f"corpus.{name}"): str(value) for name, value in corpus_facts.items()}
    resources = flat_settings({"resources": spec.resources.model_dump(mode="json")})
    objectives = ", ".join(
        f"{objective.label} ({'maximised' if objective.maximise else 'minimised'})"
        for objective in spec.objectives
    )
    limits = [
        f"at most {limit} {split} texts"
        for split, limit in (("train", spec.corpus.train_limit), ("dev", spec.corpus.dev_limit))
        if limit is not None
    ]
    joined = ", ".join(limits)
    note = (
        f"Study **{spec.name}** of `{spec.corpus.dataset}`"
        f"{f' ({joined})' if limits else ''}: search space `{spec.space.name}`, "
        f"sampler {spec.sampler}, seed {spec.seed}, {spec.trials} trials. "
        f"Objectives on dev: {objectives}.\n\n"
        "Its trials are the runs below this one; at the study's end each of them has the metrics "
        "`pareto_rank` (0 = not dominated) and `on_front`, and tags of the same names to filter "
        "by: `tags.on_front = 'true'`. Among the artifacts of this run are the front "
        "(`front.html`, to be pointed at), the hypervolume over time, parallel coordinates, the "
        "tables, the space (`space.yaml`) and the study's log (`study.log`). "
        "To compare studies, tick their runs and press Compare.\n\n" + metrics_note()
    )
    return {
        **facts,
        **{name: _text(value) for name, value in resources.items()},
        "safr.trials": str(spec.trials),
        "safr.objectives": ", ".join(objective.name for objective in spec.objectives),
        NOTE_TAG: note,
    }


def meanings() -> dict[str, tuple[str, str]]:
    """What each metric of a study's runs is, and its unit, by name; written as `_MEANINGS`."""
    catalogued = {
        **{
            f"{'causes' if 'causes' in metric.needs else 'deletion'}/{name}_K": metric
            for name, metric in AT_K.items()
        },
        **{f"dev/{name}": OF_MODEL[name] for name in _MODEL_METRICS},
        **{f"superposition/LAYER/{name}": metric for name, metric in OF_LAYER.items()},
    }
    return _MEANINGS | {name: _meaning(metric) for name, metric in catalogued.items()}


def metrics_note() -> str:
    """All metrics of a study's runs as a Markdown table with units, for a description."""
    rows = sorted(meanings().items())
    lines = [f"| `{name}` | {what} | {unit} |\n" for name, (what, unit) in rows]
    return (
        "Steps are epochs, from 1; what is measured once, at the best epoch, has step 0. "
        "K is in percent of the tokens of a text.\n\n"
        "| metric | what it is | unit |\n|---|---|---|\n" + "".join(lines)
    )


def _meaning(metric: CataloguedMetric) -> tuple[str, str]:
    better = "higher" if metric.maximise else "lower"
    return f"{metric.label}, {better} is better", unit_words(metric.unit, share=_SHARE, pure=_PURE)


def run_name(study: str, trial: TrialRecord) -> str:
    """Name of a trial's run; says the study too, as runs of several are compared on one page."""
    return f"{study} #{trial.number} {trial.label}"


def common_tags(spec: StudySpec, provenance: Provenance) -> dict[str, str]:
    """Tags of every run of a study, to find it by in the page (``tags.study = 's1'``), and origin.

    The origin is commit, versions, corpus fingerprint and device.
    """
    tags = {
        "study": spec.name,
        "preset": spec.train.preset,
        "sampler": spec.sampler,
        "space": spec.space.name,
        "corpus_fingerprint": provenance.corpus_fingerprint,
        "device": provenance.device,
        "mlflow.source.name": "safr-study",
        "mlflow.source.type": "LOCAL",
    }
    if provenance.commit is not None:
        tags |= {"commit": provenance.commit, "mlflow.source.git.commit": provenance.commit}
    versions = {_clean(f"version.{name}"): text for name, text in provenance.versions.items()}
    return {**tags, **versions}


def trial_params(trial: TrialRecord, spec: StudySpec) -> dict[str, str]:
    """The trial's settings, all that a training has, and the limits of the corpus.

    Those that the study fixes are there too, as runs of several studies are compared by them. An
    absent one is ``null``.
    """
    limits = spec.corpus.model_dump(include={"max_len", "train_limit", "dev_limit"})
    settings = {**_training(trial, spec), **trial.parameters, "seed": trial.seed, **limits}
    return {_clean(name): _text(value) for name, value in settings.items()}


def _training(trial: TrialRecord, spec: StudySpec) -> dict[str, Any]:
    given: dict[str, Any] = {**spec.space.fixed, **trial.parameters}
    try:
        config = trial_config(spec.train, given, seed=trial.seed)
    except ValidationError:
        return {}  # it failed because they do not fit together
    whole: dict[str, Any] = config.model_dump()
    shape, penalties = whole.pop("shape"), whole.pop("penalties")
    return {**whole, **shape, **penalties}


def trial_note(trial: TrialRecord, spec: StudySpec) -> str:
    """A trial in words, with units."""
    said = f"Trial {trial.number} of study **{spec.name}**: `{trial.label}`, seed {trial.seed}."
    if trial.state is TrialState.COMPLETE and trial.values is not None:
        values = zip(spec.objectives, trial.values, strict=True)
        said += f" On dev: {', '.join(_value(*pair) for pair in values)}."
    if trial.stopped_at is not None:
        said += f" {'To be stopped' if trial.control else 'Stopped'} at epoch {trial.stopped_at}."
    if trial.failure is not None:
        said += f" It failed: {trial.failure}."
    return f"{said}\n\nUnits of the metrics: see the description of the study's run."


def _value(objective: Objective, value: float) -> str:
    unit = "" if objective.measure.unit == "share" else objective.measure.unit
    return f"{objective.label} {value:.4g} {unit}".rstrip()


def trial_tags(trial: TrialRecord, spec: StudySpec) -> dict[str, str]:
    """State and warnings of a trial, to filter by in MLflow's page."""
    tags = {"safr.state": str(trial.state), NOTE_TAG: trial_note(trial, spec)}
    if trial.failure is not None:
        tags[FAILURE_TAG] = trial.failure
    if trial.stopped_at is not None:
        tags |= {"stopped_at": str(trial.stopped_at), "run_on": _text(trial.control)}
    if trial.device is not None:
        tags["device"] = trial.device
    if trial.scores is not None:
        tags["saturated"] = _text(trial.saturated)
    # Only of a state that is final: a tag that no longer holds would stay.
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and (said := trial_warnings(trial)):
        tags["warnings"] = " ".join(said)
    return tags


def rank_tags(ranked: RankedTrial) -> dict[str, str]:
    """Rank of a trial among the others, to filter by."""
    return {
        "pareto_rank": str(ranked.front),
        "on_front": _text(ranked.on_front),
        "knee": _text(ranked.knee),
        "compromise": _text(ranked.compromise),
    }


def epoch_metrics(report: EpochReport, spec: StudySpec, at: int) -> list[Metric]:
    """One epoch's metrics, at the step of its number; at a rung the objectives too.

    Args:
        report: the epoch.
        spec: the study's settings.
        at: end of the epoch in milliseconds since 1970. Like every metric's time it follows from
            the ledger, so that a point that is written again is the same point.
    """
    at_rung = zip(spec.objectives, report.objectives or (), strict=False)
    named = {
        **{f"rung/{objective.key}": value for objective, value in at_rung},
        "train/loss": report.train.total,
        "train/cross_entropy": report.train.cross_entropy,
        "train/importance": report.train.importance,
        "train/interaction": report.train.interaction,
        "train/vmask_information": report.train.vmask_information,
        "train/l1": report.train.l1,
        "train/orthogonality": report.train.orthogonality,
        "dev/accuracy": report.dev_accuracy,
        "dev/loss": report.dev_loss,
        "gate/openness": report.gate_openness,
        "embedding/mean_norm": report.mean_norm,
        "effective/importance": report.effective_importance,
        "effective/interaction": report.effective_interaction,
        "effective/information": report.effective_information,
        "effective/l1": report.effective_l1,
        "effective/orthogonality": report.effective_orthogonality,
        "time/epoch_seconds": report.seconds,
        **{f"system/{name}": value for name, value in (report.system or {}).items()},
    }
    return _metrics(named, report.epoch, at)


def final_metrics(trial: TrialRecord, spec: StudySpec, at: int) -> list[Metric]:
    """What is known when the trial has ended: objectives, scores of the best state, time."""
    named: dict[str, float | None] = {}
    if trial.state is TrialState.COMPLETE:
        for objective, value in zip(spec.objectives, trial.values or (), strict=False):
            named[f"objective/{objective.key}"] = value
    if trial.scores is not None:
        named |= _score_metrics(trial.scores)
    if trial.checkpoint is not None:
        named["dev/best_epoch"] = trial.checkpoint.epoch
    if trial.state is not TrialState.RUNNING:
        named["time/trial_seconds"] = trial.seconds
    return _metrics(named, 0, at)


def rank_metrics(ranked: RankedTrial, at: int) -> list[Metric]:
    """The same as metrics, because MLflow's page sorts by metrics."""
    named = {
        "pareto_rank": ranked.front,
        "on_front": int(ranked.on_front),
        "crowding": ranked.crowding,
    }
    return _metrics(named, 0, at)


def result_metrics(result: StudyResult, history: Sequence[HistoryPoint], at: int) -> list[Metric]:
    """The study's outcome, and how its hypervolume grew: at the step of the trials ended."""
    named: dict[str, float | None] = {
        "front/size": len(result.front),
        "trials/asked": result.asked,
    }
    named |= {f"trials/{state}": result.count(state) for state in TrialState}
    if result.cost is not None:
        kinds = [field.name for field in fields(result.cost)]
        for kind, name in {"total": "cost", **{kind: f"cost/{kind}" for kind in kinds}}.items():
            spent = getattr(result.cost, kind)
            named |= {f"{name}/{unit}": getattr(spent, unit) for unit in _COST_UNITS}
    grown = [
        Metric("hypervolume", point.hypervolume, milliseconds(point.ended) or at, point.trials)
        for point in history
    ]
    return _metrics(named, 0, at) + grown


def milliseconds(seconds: float | None) -> int | None:
    """Milliseconds since 1970, as MLflow counts."""
    return None if seconds is None else round(1000 * seconds)


def _score_metrics(scores: Scores) -> dict[str, float | None]:
    split = scores.split
    named: dict[str, float | None] = {
        f"{split}/best_accuracy": scores.accuracy,
        f"{split}/accuracy_se": scores.values["accuracy"].se,
        f"{split}/best_loss": scores.value("log_loss"),
        f"{split}/majority_accuracy": scores.value("majority_accuracy"),
        f"{split}/examples": scores.examples,
    }
    for deletion in scores.to_plain()["deletions"]:
        percent = f"{100 * deletion.pop('k'):g}"
        named |= {f"deletion/{name}_{percent}": value for name, value in deletion.items()}
    for name, metric in AT_K.items():
        if "causes" in metric.needs:
            of_k = {f"{100 * k:g}": scores.value(at_k(name, k)) for k in scores.shares}
            named |= {f"causes/{name}_{percent}": value for percent, value in of_k.items()}
    if scores.shares:
        named["deletion/saturated"] = int(scores.saturated)
    for layer in scores.superposition:
        place = layer.layer if layer.block == 0 else f"block{layer.block + 1}/{layer.layer}"
        named |= {f"superposition/{place}/{m}": getattr(layer, m) for m in OF_LAYER}
    return named | {f"{split}/{name}": scores.value(name) for name in _MODEL_METRICS}


def _metrics(named: Mapping[str, float | None], step: int, at: int) -> list[Metric]:
    return [
        Metric(key, float(value), at, step)
        for key, value in named.items()
        if value is not None and math.isfinite(value)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clean(name: str) -> str:
    """MLflow takes letters, digits and ``_ - . / :`` and spaces in names, at most 250 of them."""
    return re.sub(r"[^\w./\- :]", "_", name)[:250]
