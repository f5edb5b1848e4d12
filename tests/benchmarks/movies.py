"""Train on ``movies`` at 512 words or pieces, and score capacity against the human rationales.

    PYTHONPATH=tests python -m benchmarks.movies --help

Without VMASK, with VMASK alone and with both penalties at 0.1: from scratch, or over an encoder.
Each finished training, measured on test, is a line of ``docs/results/movies.jsonl`` and never paid
for twice; an interrupted one goes on after its last whole epoch. ``docs/results/movies.md`` is the
table of all lines.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measured import described
from benchmarks.trained_models import Line, Measurement, limited
from safr_study.cli.evaluate import with_se
from safr_study.records import Scores
from safr_study.render.text_table import TextTable, markdown_table
from safr_study.settings import CURVE_SHARES, OF_MODEL, ModelShape, Penalties, Wanted
from safr_study.settings.metrics import CONTROLS

WEIGHT = 0.1
"""Both lambdas of the SAFR model."""
MODELS: dict[str, Mapping[str, Any]] = {
    "no VMASK": {
        "shape": ModelShape(vmask=False),
        "penalties": Penalties(lambda_imp=None, lambda_inter=None),
    },
    "VMASK only": {},
    f"SAFR ({WEIGHT:g}, {WEIGHT:g})": {
        "penalties": Penalties(lambda_imp=WEIGHT, lambda_inter=WEIGHT)
    },
}
"""Up to 20 epochs with early stopping each, from scratch."""
FINE_TUNING: dict[str, Any] = {
    "learning_rate": 5e-5,
    "warmup": 0.1,
    "decay": "linear",
    "epochs": 3,
    "patience": 3,
    # Texts of 512 pieces: more would need over 10 GB.
    "batch_size": 8,
}
WANTED = Wanted(
    shares=tuple(share for share in CURVE_SHARES if share),
    alone=True,
    agreements=("capacity", *CONTROLS),
)
COLUMNS = (
    *("accuracy", "average_precision", "precision_at_gold", "iou_f1", "auroc"),
    *("comprehensiveness_aopc", "sufficiency_aopc"),
)


def markdown(lines: Sequence[Line]) -> str:
    """The tables for people: models against each other, and the rankings of each against gold."""
    order = list(MODELS)
    lines = sorted(lines, key=lambda one: (one.encoder or "", order.index(one.model), one.seed))
    names = [
        (one.encoder or "from scratch", one.model + limited(one), str(one.seed)) for one in lines
    ]
    rows = [
        (*name, *(_cell(one.scores, metric) for metric in COLUMNS), f"{one.seconds / 60:.0f}")
        for name, one in zip(names, lines, strict=True)
    ]
    heads = [f">{OF_MODEL[m].label} {'↑' if OF_MODEL[m].maximise else '↓'}" for m in COLUMNS]
    whole = TextTable("models", ("encoder", "model", "seed", *heads, ">minutes"), rows)
    agreement = ("average_precision", "precision_at_gold", "iou_f1")
    ranked = [
        (*name, ranking.replace("_", " "), *(with_se(*values[m], 3) for m in agreement))
        for name, one in zip(names, lines, strict=True)
        for ranking, values in {"capacity": one.scores.values, **one.scores.rankings}.items()
        if "rationale_texts" in values
    ]
    heads = [f">{OF_MODEL[metric].label} ↑" for metric in agreement]
    rankings = TextTable("rankings", ("encoder", "model", "seed", "ranking", *heads), ranked)
    where = sorted({described(one.machine) for one in lines})
    texts = sorted({one.scores.values["rationale_texts"].value for one in lines})
    counted = ", ".join(f"{count:,}" for count in texts)
    return "\n".join(
        [
            "# Film reviews with human rationales (`movies`)",
            "",
            "Made by `python -m benchmarks.movies` from `movies.jsonl`, which has the settings of "
            "each line. Test, the first 512 words (pieces with an encoder) of each review; "
            "accuracy, comprehensiveness and sufficiency in percentage points (AOPC over k = 5, "
            "10, 20, 30, 40 and 50 %), agreement of the ranking by capacity with the gold "
            "rationale of these words from "
            f"0 to 1 ({counted} texts count); ± is one standard error, from the texts alone.",
            "",
            markdown_table(whole),
            "",
            "Other rankings of the words of the same models:",
            "",
            markdown_table(rankings),
            "",
            *(f"{one}." for one in where),
            "",
        ]
    )


def _cell(scores: Scores, metric: str) -> str:
    measure = scores.values.get(metric)
    points = OF_MODEL[metric].unit == "points"
    return "" if measure is None else with_se(*measure, 2 if points else 3)


MEASUREMENT = Measurement(
    name="movies",
    dataset="movies",
    models=MODELS,
    fine_tuning=FINE_TUNING,
    want=WANTED,
    markdown=markdown,
)


def main(given: Sequence[str] | None = None) -> int:
    """Train what the file lacks, and make the table; 130 when it was interrupted."""
    return MEASUREMENT.main(given, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
