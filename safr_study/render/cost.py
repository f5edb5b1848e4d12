"""What a study has cost, in words and as JSON values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from safr_study.records import to_plain
from safr_study.records.cost import Spending, StudyCost

_SAID = {
    "stopped": "trials stopped early",
    "failed": "failed ones",
    "unfinished": "unfinished ones",
    "repeated": "work done again",
}
_LEAST = 0.005
"""Share of the whole from which a part is worth a word."""


def cost_sentence(cost: StudyCost) -> str:
    """``Cost: 0.53 core-hours, of these 0.1 for trials stopped early``."""
    total = cost.total
    parts = [
        f"{_number(one.core_hours)} for {said}"
        for name, said in _SAID.items()
        if (one := getattr(cost, name)).core_hours > _LEAST * total.core_hours
    ]
    beside = f", of these {', '.join(parts)}" if parts else ""
    return f"Cost: {spending_words(total)}{beside}"


def spending_words(spent: Spending) -> str:
    """``0.53 core-hours, 0.13 GPU-hours, 0.02 kWh``."""
    said = [f"{_number(spent.core_hours)} core-hours"]
    if spent.gpu_hours:
        said.append(f"{_number(spent.gpu_hours)} GPU-hours")
    if spent.kwh is not None:
        share = spent.metered_core_hours / spent.core_hours if spent.core_hours else 1.0
        known = f" (known of {100 * share:.0f} % of the core-hours)" if share < 0.995 else ""
        said.append(f"{_number(spent.kwh)} kWh{known}")
    return ", ".join(said)


def cost_json(cost: StudyCost) -> dict[str, Any]:
    """``total``, ``complete``, ``stopped``, ``failed``, ``unfinished`` and ``repeated``.

    Each has ``core_hours``, ``gpu_hours``, ``kwh`` (null where no counter could be read) and
    ``metered_core_hours`` (those of which the energy is known).
    """
    names = ["total", *(field.name for field in fields(cost))]
    return {name: to_plain(getattr(cost, name)) for name in names}


def _number(value: float) -> str:
    return f"{value:.3g}"
