"""A study as an object: its front, its trials, its models."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from safr_study.api.model import Model, opened
from safr_study.cli import output
from safr_study.cli.progress import Reporter
from safr_study.errors import BadInput
from safr_study.features.confirm.confirm import confirm as run_confirmation
from safr_study.features.confirm.output import trials_table, write_confirmation
from safr_study.features.confirm.plan import ConfirmRequest
from safr_study.features.hand_on.export import export_study
from safr_study.features.models import registered_models
from safr_study.features.promote import Gate, Promotion, Rule, promote_study
from safr_study.features.report.page import write_report
from safr_study.features.report.report import ReportRequest
from safr_study.features.search.status import StudyStatus, stop_study, study_status
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
from safr_study.text import plural


@dataclass(frozen=True, slots=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Front({self.result.name!r}, {plural(len(self), 'trial')})"

    def _repr_html_(self) -> str:
        if not self.result.ranked:
            return "<p>No trial is complete yet.</p>"
        return front_html(self.result, self.svg)


@dataclass(frozen=True, slots=True, repr=False)
class Study:
    """A study as its ledger had it when this was made; `refresh` looks again.

    What the command line does with a study is a method of the same name, with the same options.
    """

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

    def model(self, role: Role | int | None = None) -> Model:
        """The model of this study that has a role, or that of a trial.

        Args:
            role: after `confirm`, the confirmed one; a number: that trial's; ``None``: the knee,
                or the compromise of a front that has no knee.

        Raises:
            BadInput: none has it: no trial is complete, or those that are beat no baseline, or are
                saturated; or the knee is asked for, and the front has none; or no such trial has
                left a model.
        """
        if isinstance(role, int):
            return opened(f"{self.name}#{role}", self.stores)
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
            f"study {self.name!r} has no {' or '.join(wanted)} in the registry{offer}; where no "
            "trial beats the baselines there is none, and model(NUMBER) is the model of a trial",
        )

    def confirm(
        self, seeds: int = 5, *, test: bool = True, max_concurrent: int | None = None,
        out: str | Path | None = None, quiet: bool = False,
    ) -> pd.DataFrame:  # fmt: skip
        """Train the front and the baselines under new seeds; one row for each trial.

        Columns: those of ``STUDY-confirmed.csv``: ``KEY_mean``, ``KEY_low`` and ``KEY_high`` of
        each objective on dev, ``test_KEY_...`` on test, ``on_front``, ``front_probability`` and
        others. What is finished is not trained again.

        Args:
            seeds: new ones for each trial, at least 2.
            test: read the test set once, at the end.
            max_concurrent: runs at once; ``None``: as the study.
            out: folder for tables and pictures.
            quiet: no lines about progress on standard error.

        Raises:
            BadInput: too few seeds, no complete trial, or data that changed.
            StudyIncomplete: runs failed; the same call tries them again.
            StudyInterrupted: by Ctrl-C; the same call goes on.
            ServiceUnreachable: ledger, cluster or tracking server do not answer.
        """
        if seeds < 2:
            raise BadInput("seeds", f"an interval needs at least 2 seeds, not {seeds}")
        request = ConfirmRequest(self.name, seeds, max_concurrent, test)
        with Reporter(None if quiet else output.err()) as progress:
            outcome = run_confirmation(request, self.stores, say=progress.say)
        if out is not None:
            write_confirmation(outcome.found, Path(out))
        if outcome.fault is not None:
            raise outcome.fault
        return trials_table(outcome.found)

    def report(
        self, out: str | Path | None = None, *, others: Sequence[str] = (), anyway: bool = False,
        quick: bool = False, causes: bool = False, texts: int = 6,
    ) -> Path:  # fmt: skip
        """Write the study as one page; where it is.

        Args:
            out: the page; ``None``: ``STUDY-report.html``.
            others: names of studies to set beside it.
            anyway: also those of other data.
            quick: from the ledger alone, without curves and example texts.
            causes: measure what neurons cause, which takes about an epoch of training a model.
            texts: example texts of dev on the page.

        Raises:
            BadInput: a study is unknown, they cannot be compared, or the file cannot be written.
        """
        page = Path(out or f"{self.name}-report.html")
        write_report(
            ReportRequest(self.name, page, tuple(others), anyway, quick, texts, causes),
            self.stores,
        )
        return page

    def export(self, out: str | Path | None = None, *, force: bool = False) -> Path:
        """Write the study as one file to hand on, for `import_study`; where it is.

        Args:
            out: the file; ``None``: ``STUDY.zip``.
            force: replace it where it is there.

        Raises:
            BadInput: a driver has the study, or the file cannot be written.
            CorruptCheckpoint: a model is not what its trial left.
            ServiceUnreachable: the ledger or the object store does not answer.
        """
        done = export_study(self.name, Path(out or f"{self.name}.zip"), self.stores, force=force)
        return done.written

    def promote(
        self, *rules: str, confidence: float = 0.95, split: Literal["dev", "test"] | None = None
    ) -> Promotion:
        """Move the data set's bare aliases to this study's front, where all rules hold.

        Args:
            rules: as ``accuracy >= current - 1``; none: in any case.
            confidence: of the intervals that they are judged by.
            split: texts to judge on; ``None``: test where the data have one.

        Raises:
            BadInput: a rule cannot be judged, or nothing is there to promote.
            ServiceUnreachable: the tracking server does not answer.
        """
        gate = Gate(tuple(map(Rule.parse, rules)), confidence, split) if rules else None
        return promote_study(self.name, self.stores, gate)

    def status(self) -> StudyStatus:
        """How it stands now: who runs it, its trials, the time left."""
        return study_status(self.name, self.stores)

    def stop(self, timeout: float = 120.0) -> float:
        """Have its driver end it cleanly, wherever it runs; the seconds that it took.

        Raises:
            BadInput: nobody runs it.
            ServiceUnreachable: it has not ended in time.
        """
        return stop_study(self.name, self.stores, timeout=timeout)

    def refresh(self) -> Study:
        """The study as its ledger has it now."""
        return Study(load_result(self.name, self.stores), self.stores)

    def __repr__(self) -> str:
        found, best = self.result, self.result.choice
        chosen = "" if best is None else f", {best.choice} {best.trial.number}"
        trials = plural(len(found.trials), "trial")
        return f"Study({found.name!r}, {found.dataset}, {trials}, front {len(found.front)}{chosen})"

    def _repr_html_(self) -> str:
        front = front_html(self.result, self.front.svg) if self.result.ranked else None
        return study_html(self.result, front, tuple(result_notes(self.result)))
