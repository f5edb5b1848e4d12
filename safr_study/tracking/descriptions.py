"""What the metrics of a run mean, each with its unit: for the notes that MLflow's page shows."""

from __future__ import annotations

import re
from collections.abc import Iterable

from safr_study.settings import AT_K, OF_LAYER, OF_MODEL, Metric
from safr_study.text import unit_words

_POINTS, _SHARE, _PURE = unit_words("points"), "share, 0 to 1", "pure number"

_MEANINGS: dict[str, tuple[str, str]] = {
    r"objective/.+": ("an objective of the study, on dev", "as its metric"),
    r"rung/.+": ("an objective at a rung, on a part of dev", "as its metric"),
    r"train/(loss|cross_entropy|vmask_information)": ("mean over the epoch", "nats"),
    r"train/(importance|interaction)": ("a penalty, unweighted, mean over the epoch", _PURE),
    r"(dev|test)/(best_|majority_)?accuracy": ("accuracy", _POINTS),
    r"(dev|test)/accuracy_se": ("its standard error, from the examples", _POINTS),
    r"(dev|test)/(best_)?loss": ("mean cross-entropy", "nats"),
    r"(dev|test)/examples": ("texts measured", "texts"),
    r"dev/best_epoch": ("the epoch whose state is the model", "epoch"),
    r"deletion/realised_share_.+": ("tokens that were really deleted", _SHARE),
    r"deletion/dominant_share_.+": ("of the most frequent prediction after the deletion", _SHARE),
    r"deletion/accuracy_.+": ("accuracy after a deletion", _POINTS),
    r"deletion/mcnemar_p_.+": ("p of McNemar's test, top against random deletion", _SHARE),
    r"deletion/saturated(_.+)?": ("1: the predictions collapsed to one class", "0 or 1"),
    r"gate/openness": ("mean keep-probability of VMASK on dev", _SHARE),
    r"embedding/mean_norm": ("mean norm of the masked embeddings on dev", _PURE),
    r"effective/.+": ("gradient norm of a penalty over that of the cross-entropy", _PURE),
    r"time/.+": ("wall time", "seconds"),
    r"system/.*_megabytes": ("memory", "megabytes"),
    r"system/.*_percentage": ("of the processor or the memory", "percent"),
    r"pareto_rank": ("number of the front; 0 = not dominated", _PURE),
    r"on_front": ("1: no other trial dominates it", "0 or 1"),
    r"crowding": ("crowding distance inside its front", _PURE),
    r"hypervolume": ("of the front; step = trials ended", "product of the objectives' units"),
    r"front/size": ("trials on the front", "trials"),
    r"trials/.+": ("trials of the study, by state", "trials"),
}
"""Pattern of a metric's name, then what it is and its unit; those of `settings.metrics` beside."""


def meaning(key: str) -> tuple[str, str] | None:
    """What a metric of a run is, and its unit; ``None``: it is not known here."""
    known = _catalogued(key)
    if known is not None:
        return known
    found = (said for pattern, said in _MEANINGS.items() if re.fullmatch(pattern, key))
    return next(found, None)


def metrics_note() -> str:
    """All metrics of a study's runs as a Markdown table with units, for a description."""
    rows = [(_shown(pattern), *said) for pattern, said in _MEANINGS.items()]
    rows += [(f"deletion/{name}_K", *_said(metric)) for name, metric in AT_K.items()]
    rows += [
        (f"dev/{name}", *_said(metric)) for name, metric in OF_MODEL.items() if name != "accuracy"
    ]
    rows += [(f"superposition/LAYER/{name}", *_said(metric)) for name, metric in OF_LAYER.items()]
    return (
        "Steps are epochs, from 1; what is measured once, at the best epoch, has step 0. "
        "K is in percent of the tokens of a text.\n\n"
        "| metric | what it is | unit |\n|---|---|---|\n" + "".join(_lines(sorted(rows)))
    )


def _lines(rows: Iterable[tuple[str, str, str]]) -> Iterable[str]:
    return (f"| `{name}` | {what} | {unit} |\n" for name, what, unit in rows)


def _catalogued(key: str) -> tuple[str, str] | None:
    """Of a metric that `settings.metrics` has."""
    group, _, name = key.partition("/")
    if group == "superposition" and "/" in name:
        metric = OF_LAYER.get(name.rpartition("/")[2])
        return None if metric is None else _said(metric)
    if group in ("dev", "test"):
        at_k = re.fullmatch(r"(.+)_([\d.]+)", name)
        metric = OF_MODEL.get(name) or (AT_K.get(at_k[1]) if at_k else None)
        layer, dot, _ = name.partition(".")
        metric = metric or (OF_LAYER.get(layer) if dot else None)
        return None if metric is None else _said(metric)
    if group == "deletion":
        at_k = re.fullmatch(r"(.+?)(_se)?_([\d.]+)", name)
        metric = AT_K.get(at_k[1]) if at_k else None
        if at_k is not None and metric is not None:
            what, unit = _said(metric)
            return (f"standard error of {metric.label}" if at_k[2] else what), unit
    return None


def _said(metric: Metric) -> tuple[str, str]:
    better = "higher" if metric.maximise else "lower"
    return f"{metric.label}, {better} is better", unit_words(metric.unit, share=_SHARE, pure=_PURE)


def _shown(pattern: str) -> str:
    """A pattern as a person reads it."""
    plain = pattern.replace("(_.+)?", "").replace("_.+", "_K").replace("/.+", "/NAME")
    plain = plain.replace(".*", "...").replace("(dev|test)/", "dev/")
    plain = re.sub(r"\(([^)]*)\)\?", lambda found: f"[{found[1].replace('|', ',')}]", plain)
    return re.sub(r"\(([^)]*)\)", lambda found: f"{{{found[1].replace('|', ',')}}}", plain)
