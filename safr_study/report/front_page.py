"""The front as a page of its own: its picture, and each trial's settings when it is pointed at."""

from __future__ import annotations

from html import escape

from safr_study.records import RankedTrial, StudyResult
from safr_study.report.inline_svg import inline_svg
from safr_study.settings import Objective

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 72rem; padding: 0 1rem;
  background: #fff; color: #222; }
svg { width: 100%; height: auto; }
[id^="front:trial-"] { cursor: help; }
[id^="front:trial-"]:hover { stroke: #D55E00; stroke-width: 3px; }
"""


def front_page(result: StudyResult, svg: str) -> str:
    """The HTML of a study's front; it loads nothing, and runs no script.

    Args:
        result: the study.
        svg: its picture, of `figures.front_figure`, whose marks have ids ``trial-NUMBER``.
    """
    titles = {f"trial-{one.trial.number}": _said(one, result) for one in result.ranked}
    # With several panels the marks of all but the last have their axes behind the number.
    keys = [Objective(name=name).key for name in result.objectives]
    titles |= {f"{mark}-{x}-{y}": said for mark, said in titles.items() for x in keys for y in keys}
    label = f"The front of study {result.name}: {len(result.front)} trials"
    picture = inline_svg(svg[svg.index("<svg") :], name="front", label=label, titles=dict(titles))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(label)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><main>{picture}\n<p>Point at a mark to see its trial.</p></main></body></html>\n"
    )


def _said(ranked: RankedTrial, result: StudyResult) -> str:
    trial = ranked.trial
    lines = [f"trial {trial.number}: {trial.label}"]
    for name, value in zip(result.objectives, trial.values or (), strict=False):
        lines.append(f"{Objective(name=name).label} {value:.2f}")
    place = "on the front" if ranked.on_front else f"front {ranked.front}"
    lines.append(f"{place}{', knee' if ranked.knee else ''}")
    lines.append(f"{len(trial.epochs)} epochs, seed {trial.seed}")
    return "\n".join(lines)
