"""What the metrics of a run mean, each with its unit: for the notes that MLflow's page shows."""

from __future__ import annotations

from safr_study.settings import AT_K, OF_LAYER, OF_MODEL, Metric
from safr_study.text import unit_words

_POINTS, _SHARE, _PURE = unit_words("points"), "share, 0 to 1", "pure number"

_MEANINGS: dict[str, tuple[str, str]] = {
    "objective/NAME": ("an objective of the study, on dev", "as its metric"),
    "rung/NAME": ("an objective at a rung, on a part of dev", "as its metric"),
    "train/{loss,cross_entropy,vmask_information}": ("mean over the epoch", "nats"),
    "train/{importance,interaction}": ("a penalty, unweighted, mean over the epoch", _PURE),
    "dev/[best_,majority_]accuracy": ("accuracy", _POINTS),
    "dev/accuracy_se": ("its standard error, from the examples", _POINTS),
    "dev/[best_]loss": ("mean cross-entropy", "nats"),
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
}
"""Metrics next to those of `settings.metrics`: what each is, and its unit. ``{a,b}`` is one of
these, ``[a,b]`` one or none, a word in capitals any."""


def meanings() -> dict[str, tuple[str, str]]:
    """What each metric of a study's runs is, and its unit, by name; written as `_MEANINGS`."""
    catalogued = {
        **{f"deletion/{name}_K": metric for name, metric in AT_K.items()},
        **{f"dev/{name}": metric for name, metric in OF_MODEL.items() if name != "accuracy"},
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


def _meaning(metric: Metric) -> tuple[str, str]:
    better = "higher" if metric.maximise else "lower"
    return f"{metric.label}, {better} is better", unit_words(metric.unit, share=_SHARE, pure=_PURE)
