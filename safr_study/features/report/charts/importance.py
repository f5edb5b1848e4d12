"""Bars of the hyperparameters' importance, in units of chance."""

from __future__ import annotations

from collections.abc import Sequence

from safr_study.features.report.charts.drawing import Frame, Scale, chart, line, short, text
from safr_study.records.importance import Importance
from safr_study.settings import Objective

_ROW, _TOP, _BOTTOM = 24.0, 8.0, 40.0
_LETTER = 7.0
"""Pixels."""


def importance_chart(found: Sequence[Importance]) -> str:
    """The parameters of one objective, strongest first; the line at 1 is the level of chance.

    Args:
        found: of one objective, at least one.
    """
    ordered = sorted(found, key=lambda one: -one.strength)
    left = 24 + _LETTER * max(len(one.parameter) for one in ordered)
    frame = Frame(560, _TOP + _BOTTOM + _ROW * len(ordered), left=left, top=_TOP, bottom=_BOTTOM)
    x = Scale(0, max(1.6, *(one.strength * 1.05 for one in ordered)), *frame.x_range)
    objective = Objective(name=ordered[0].objective)
    bottom = frame.y_range[0]
    parts = []
    for place, one in enumerate(ordered):
        above = _TOP + _ROW * place
        sure = "sure" if one.strength > 1 else "chance"
        parts.append(text((left - 10, above + 16), one.parameter, "row", "end"))
        parts.append(
            f'<g class="mark bar {sure}" tabindex="0" role="img" aria-label="{_facts(one, "; ")}">'
            f"<title>{_facts(one, chr(10))}</title>"
            f'<rect class="reach" x="{left:.1f}" y="{above:.1f}" '
            f'width="{x.end - left:.1f}" height="{_ROW:.1f}"/>'
            f'<rect x="{left:.1f}" y="{above + 4:.1f}" '
            f'width="{max(1.5, x(one.strength) - left):.1f}" height="{_ROW - 8:.1f}" rx="2"/></g>'
        )
    parts.append(line([(x(1), _TOP), (x(1), bottom)], "limit"))
    parts.append(line([(left, bottom), (x.end, bottom)], "axis"))
    parts += [text((x(value), bottom + 16), short(value), anchor="middle") for value in x.ticks(5)]
    name = f"importance for {objective.label} (1 = chance)"
    parts.append(text(((left + x.end) / 2, frame.height - 6), name, "name", "middle"))
    return chart("importance", frame, f"Importance of each hyperparameter for {objective.label}",
                 parts)  # fmt: skip


def direction(one: Importance) -> str:
    """Which way the objective goes as the parameter grows."""
    if one.rho is None:
        return "no order"
    if abs(one.rho) < 0.2:
        return "no direction"
    return "rises with it" if one.rho > 0 else "falls with it"


def _facts(one: Importance, joint: str) -> str:
    # The names of parameters are settings of ours: nothing in them needs an escape.
    objective = Objective(name=one.objective)
    rho = "" if one.rho is None else f", rank correlation {one.rho:+.2f}"
    lines = [
        f"{one.parameter} for {objective.label}",
        f"{one.strength:.2f} times the level of chance (p = {one.p:.3f})",
        f"{objective.label}: {direction(one)}{rho}",
        f"from {one.trials} trials",
    ]
    return joint.join(lines)
