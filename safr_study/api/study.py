"""A study as an object: its front, its trials, its models."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from safr_study.api.model import Model, opened
from safr_study.errors import BadInput
from safr_study.features.models import registered_models
from safr_study.features.study_base.results import load_result, write_result
from safr_study.features.study_base.stores import Stores
from safr_study.figures.front import front_figure
from safr_study.records import RegisteredModel, StudyResult
from safr_study.records.study import ROLES
from safr_study.records.study import Role as Role
from safr_study.render.front_page import front_html, study_html
from safr_study.render.history import history_table, hypervolume_history
from safr_study.render.result_tables import result_notes, result_table
from safr_study.render.verdict import verdict


@dataclass(frozen=True, slots=True)
class Front:
    """The first front of a study: the trials that no other beats in every objective."""

    result: StudyResult
    """The whole study, ranked."""

    @property
    def table(self) -> pd.DataFrame:
        """One row for each member; columns as of `Study.pareto`."""
        table = result_table(self.result)
        return table[table["front"] == 0].reset_index(drop=True)

    @property
    def svg(self) -> str:
        """The picture, an SVG element; empty where no trial is ranked yet."""
        if not self.result.ranked:
            return ""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "front.svg"
            front_figure(self.result, path)
            drawn = path.read_text("utf-8")
        return drawn[drawn.index("<svg") :]

    def __len__(self) -> int:
        return len(self.result.front)

    def _repr_html_(self) -> str:
        if not self.result.ranked:
            return "<p>No trial is complete yet.</p>"
        return front_html(self.result, self.svg)


@dataclass(frozen=True, slots=True)
class Study:
    """A study as its ledger had it when this was made; `refresh` looks again."""

    result: StudyResult
    """Everything measured, ranked."""
    stores: Stores
    """Where its ledger and its models are."""

    @property
    def name(self) -> str:
        """Name by which the command line knows it too."""
        return self.result.name

    @property
    def hypervolume(self) -> float:
        """Hypervolume of the front over the reference point, in the product of the units."""
        return self.result.hypervolume

    @property
    def front(self) -> Front:
        """The first front, with its picture."""
        return Front(self.result)

    @property
    def warnings(self) -> tuple[str, ...]:
        """That nothing beats the baselines, where it is so; then the lines under a ranking.

        Those are: a front without a knee, hypervolume, what stopping cost, which failed, what is
        odd.
        """
        return (*filter(None, [verdict(self.result)]), *result_notes(self.result))

    def pareto(self) -> pd.DataFrame:
        """All ranked trials, best first.

        Columns: ``front`` (0 = no other beats it), ``trial``, ``label``, one per parameter, one per
        objective (dev, percentage points), ``saturated``, ``knee``, ``compromise`` (of a front
        without a knee), ``baseline``, ``epochs``, ``seconds``, ``run_id`` and ``crowding``. Where
        trials have several seeds, each objective is followed by ``_half_width``, that of its 95 %
        interval.
        """
        return result_table(self.result)

    def trials(self) -> pd.DataFrame:
        """All trials by number, those without a rank too.

        Columns: ``trial``, ``state``, ``label``, ``epochs``, ``seconds``, ``failure``.
        """
        rows = [
            (one.number, one.state.value, one.label, len(one.epochs), one.seconds, one.failure)
            for one in sorted(self.result.trials, key=lambda trial: trial.number)
        ]
        columns = ["trial", "state", "label", "epochs", "seconds", "failure"]
        return pd.DataFrame(rows, columns=columns)

    def history(self) -> pd.DataFrame:
        """How the hypervolume grew: one row after each trial that ended.

        Columns: ``trial``, ``ended`` (seconds since 1970), ``trials``, ``epochs``, ``hypervolume``.
        """
        return history_table(hypervolume_history(self.result))

    def write(self, folder: str | Path) -> list[Path]:
        """Write the front, and how the hypervolume grew, as PNG, SVG and CSV.

        Raises:
            BadInput: the folder cannot be written, or no trial is complete.
        """
        return write_result(self.result, Path(folder))

    def model(self, role: Role | None = None) -> Model:
        """The model of this study that has a role; after `confirm`, the confirmed one.

        Args:
            role: ``None``: the knee, or the compromise of a front that has no knee.

        Raises:
            BadInput: none has it: no trial is complete, or those that are beat no baseline, or are
                saturated; or the knee is asked for, and the front has none.
        """
        wanted: tuple[Role, ...] = ("knee", "compromise") if role is None else (role,)
        held: dict[Role, RegisteredModel] = {}
        for version in registered_models(self.stores):
            if version.tags.get("study") == self.name:
                for alias in version.aliases:
                    roles = (r for r in ROLES if alias == r or alias.endswith(f"-{r}"))
                    held |= {r: version for r in roles if r not in held}
        for one in wanted:
            if one in held:
                return opened(f"models:/{held[one].name}/{held[one].version}", self.stores)
        offer = f"; it has {', '.join(one for one in ROLES if one in held)}" if held else ""
        raise BadInput(
            "role",
            f"study {self.name!r} has no {' or '.join(wanted)} in the registry{offer}",
        )

    def refresh(self) -> Study:
        """The study as its ledger has it now."""
        return Study(load_result(self.name, self.stores), self.stores)

    def _repr_html_(self) -> str:
        front = front_html(self.result, self.front.svg) if self.result.ranked else None
        return study_html(self.result, front, tuple(result_notes(self.result)))
