"""The table of rankings before and after a training on texts with random deletions."""

from __future__ import annotations

from safr_study.records.masked import MASKED, MaskedTraining
from safr_study.render.format import with_se
from safr_study.render.text_table import TextTable
from safr_study.settings import AT_K, at_k
from safr_study.text import plural

_SHORT = {"srs": "SRS", "comprehensiveness": "compr.", "sufficiency": "suff."}


def masked_table(found: MaskedTraining) -> TextTable:
    """A row for each ranking and k: each metric of the model, and of the one trained further."""
    rows = [
        (
            ranking.replace("_", " "),
            f"{100 * k:g}",
            *(
                with_se(one.value, one.se)
                for metric in MASKED
                for one in (before[at_k(metric, k)], found.after(ranking, at_k(metric, k)))
            ),
        )
        for ranking, before in found.rankings.items()
        for k in found.shares
    ]
    columns = ["ranking", ">k %"]
    for metric in MASKED:
        arrow = "↑" if AT_K[metric].maximise else "↓"
        columns += [f">{_SHORT[metric]} {arrow}", ">after"]
    accuracy = sum(run.accuracy for run in found.runs) / len(found.runs)
    return TextTable(
        f"Masked training: {plural(found.epochs, 'epoch')} on texts that lost up to "
        f"{100 * found.bound:g} % of their words, {plural(len(found.runs), 'seed')}; points",
        columns,
        rows,
        caption=f"accuracy on whole texts {found.accuracy:.2f} before, {accuracy:.2f} after",
    )
