"""Tables of what neurons cause."""

from __future__ import annotations

from safr_study.records import Measure, Scores
from safr_study.render.format import with_se
from safr_study.render.text_table import TextTable
from safr_study.settings import REPLACEMENTS, at_k, replaced

_EFFECTS = ("neuron_effect", "capacity_effect")


def cause_tables(scores: Scores) -> list[TextTable]:
    """The effects at each k with every replacement, and the exchange between texts of a group."""
    tables = []
    if any(name.startswith("neuron_effect") for name in scores.values):
        tables.append(_effects(scores))
    if scores.has("interchange"):
        tables.append(_interchange(scores))
    return tables


def _effects(scores: Scores) -> TextTable:
    rows = []
    for k in scores.shares:
        if not scores.has(at_k("neuron_effect", k)):
            continue
        for by in REPLACEMENTS:
            cells = []
            for kind in _EFFECTS:
                effect = replaced(kind, by)
                cells += [
                    _cell(scores.values[at_k(effect, k)], 3),
                    f"{scores.values[at_k(f'{effect}_p', k)].value:.3f}",
                    f"{scores.values[at_k(f'{effect}_flips', k)].value:.1f}",
                ]
            kept = scores.values[at_k(replaced("neuron_sufficiency", by), k)]
            rows.append((f"{100 * k:g}", by, *cells, _cell(kept, 3)))
    columns = (
        *(">k %", "replaced by", ">neuron effect ↑", ">p", ">flips %", ">capacity effect ↑", ">p"),
        *(">flips %", ">sufficiency ↑"),
    )
    return TextTable(
        "What neurons cause, in standard deviations of the margin",
        columns,
        rows,
        keys=(0, 1),
        caption=_sets(scores),
    )


def disagreeing(scores: Scores) -> list[str]:
    """The effects that do not have one sign with all three replacements."""
    found = []
    for kind in _EFFECTS:
        for k in scores.shares:
            names = [at_k(replaced(kind, by), k) for by in REPLACEMENTS]
            if scores.has(names[0]) and len({scores.values[n].value > 0 for n in names}) > 1:
                found.append(names[0])
    return found


def _sets(scores: Scores) -> str:
    """How many neurons are taken away, and how like them the others are, at the largest k."""
    last = max(k for k in scores.shares if scores.has(at_k("neuron_effect", k)))
    chosen, neurons, words = (
        scores.value(at_k(name, last))
        for name in ("neurons_chosen", "neurons_matched", "words_matched")
    )
    if chosen is None or neurons is None or words is None:
        return ""
    areas = [scores.value(replaced("neuron_sufficiency_auc", by)) for by in REPLACEMENTS]
    of_areas = ", ".join(
        f"{area:.3f} ({by})"
        for by, area in zip(REPLACEMENTS, areas, strict=True)
        if area is not None
    )
    differ = disagreeing(scores)
    return (
        f"{chosen:.1f} neurons of a word hold half; matched within 5 %: {100 * neurons:.0f} % of "
        f"the other neurons, {100 * words:.0f} % of the other words"
        + (f". Area of sufficiency: {of_areas}" if of_areas else "")
        + (f". Replacements differ in sign: {', '.join(differ)}" if differ else "")
    )


def _interchange(scores: Scores) -> TextTable:
    changed, control = (scores.values[f"interchange{end}"] for end in ("", "_control"))
    pairs = scores.values["interchange_pairs"].value
    return TextTable(
        f"Neurons exchanged between texts of a group, {pairs:,} pairs; predictions that turn, "
        "points",
        (">words that differ ↑", ">as many that do not"),
        [(_cell(changed, 2), _cell(control, 2))],
    )


def _cell(measure: Measure, decimals: int) -> str:
    return with_se(measure.value, measure.se, decimals)
