"""A confirmation as files: Markdown, CSV and pictures."""

from __future__ import annotations

from pathlib import Path

from safr_study.errors import BadInput
from safr_study.features.confirm.tables import runs_table, trials_table
from safr_study.features.confirm.view import notes, sheets, title
from safr_study.figures.confirmation import Move, confirmation_figure
from safr_study.render.text_table import markdown
from safr_study.uncertainty.confirmation import Confirmation


def write_confirmation(found: Confirmation, folder: Path) -> list[Path]:
    """Write STUDY-confirmed as .md, .csv, .png and .svg, and STUDY-confirmed-runs.csv.

    The pictures are left out where no trial is confirmed.

    Raises:
        BadInput: the folder cannot be written.
    """
    stem = f"{found.study}-confirmed"
    page, table, runs = (
        folder / name for name in (f"{stem}.md", f"{stem}.csv", f"{stem}-runs.csv")
    )
    pictures = [folder / f"{stem}.{suffix}" for suffix in ("png", "svg")]
    if not found.result.ranked:
        pictures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = markdown(title(found), sheets(found, wide=True), notes(found))
        page.write_text(text, encoding="utf-8")
        for path, rows in ((table, trials_table(found)), (runs, runs_table(found))):
            rows.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
        for path in pictures:
            confirmation_figure(
                found.result,
                [Move.of(one) for one in found.trials],
                path,
                title=f"Study {found.study} on {found.dataset}, confirmed",
                caption=_caption(found),
            )
    except OSError as error:
        raise BadInput("out", f"{folder} cannot be written ({error}); choose another") from error
    return [page, table, runs, *pictures]


def _caption(found: Confirmation) -> str:
    return (
        f"means over {len(found.seeds)} new seeds on {found.dev_texts:,} dev texts; bars: 95 % "
        f"intervals; {len(found.stayed)} of {len(found.members)} members stay on the front"
    )
