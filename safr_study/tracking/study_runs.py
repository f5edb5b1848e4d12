"""A study in MLflow: one parent run and a child for each trial, that say what the ledger says."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from pathlib import Path
from typing import Self

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

from safr_study.data import slugify
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.retention import earlier_keys
from safr_study.records import Provenance, RankedTrial, StudyResult, TrialRecord, TrialState
from safr_study.records.study import HistoryPoint
from safr_study.settings import StudySpec
from safr_study.tracking import entries
from safr_study.tracking.data_names import DIGEST
from safr_study.tracking.runs import RunsOfKind, TrackedRun, find_or_make_experiment
from safr_study.tracking.store import Store
from safr_study.tracking.views import write_views

_TABLES_TAG = "mlflow.loggedArtifacts"
"""Tag by which MLflow's page finds a run's tables, also to compare those of several runs."""
_STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
}


@dataclass(frozen=True, slots=True)
class TrackedStudy:
    """A study, as every one of its runs names it."""

    uid: str
    """Unique among all studies that were ever written, letters, digits and ``._-``; a study begun
    afresh under an old name has a new one."""
    dataset: str
    """Name or slug of the data set."""
    spec: StudySpec
    provenance: Provenance
    """Origin of the numbers that this process adds."""
    corpus_facts: Mapping[str, int | str] = field(default_factory=dict)
    """Counts and other facts of the corpus, by name."""
    earlier: frozenset[str] = frozenset()
    """Unique ids of its earlier generations."""

    @classmethod
    def of(cls, ledger: Ledger, provenance: Provenance | None = None) -> Self:
        """A ledger's study.

        Args:
            ledger: the study.
            provenance: of the numbers that this process adds; ``None``: of those that are there.
        """
        facts = ledger.facts
        origin = provenance or Provenance(**facts.provenance)
        earlier = earlier_keys(ledger)
        return cls(ledger.uid, facts.slug, ledger.spec, origin, facts.corpus, earlier)

    def tags(self, kind: str) -> dict[str, str]:
        """Tags of a new run: ``study``, ``trial`` or ``confirm``."""
        return {
            entries.STUDY_TAG: self.spec.name,
            entries.UID_TAG: self.uid,
            entries.KIND_TAG: kind,
            "dataset": self.dataset,
            **entries.common_tags(self.spec, self.provenance),
        }


@dataclass(frozen=True, slots=True, eq=False)
class TrialUpdate:
    """A trial whose run may lack something."""

    trial: TrialRecord
    """The trial, as the ledger has it."""
    alive: bool = False
    """Whether a process trains it now; one that is marked as running and is not alive has lost its
    driver, and is shown as killed."""
    ranked: RankedTrial | None = None
    """Its rank among the others, once the study has ended."""
    ranked_at: int = 0
    """Moment of that ranking, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True, eq=False)
class StudyEnd:
    """A study at its end, or at an interruption."""

    result: StudyResult
    """The ranked trials and the others; one that is marked as running is shown as killed."""
    history: tuple[HistoryPoint, ...] = ()
    """How the hypervolume grew."""
    files: Sequence[Path] = ()
    """Artifacts of the parent run; they are there until it has them, or is given up."""
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Tables of the parent run, by path; they end in ``.json``, as MLflow's do."""
    interrupted: bool = False
    """Whether the study will be resumed: the parent run is shown as killed."""
    at: int = field(init=False)
    """Moment of ranks and outcome: the end of the last trial, if that is known, in milliseconds
    since 1970."""

    def __post_init__(self) -> None:
        ended = [trial.ended for trial in self.result.trials if trial.ended is not None]
        object.__setattr__(self, "at", entries.milliseconds(max(ended, default=None)) or now())

    def updates(self) -> list[TrialUpdate]:
        """All trials with their ranks."""
        ranks = {ranked.trial.number: ranked for ranked in self.result.ranked}
        return [
            TrialUpdate(trial, ranked=ranks.get(trial.number), ranked_at=self.at)
            for trial in self.result.trials
        ]


class StudyRuns:
    """The runs of one study; each method brings MLflow to what it is given, twice is as once.

    A driver and a later ``sync`` write through the same methods. In doubt about the server's state,
    at first and after a failed call, it is read before anything is written: a call whose answer was
    not waited for may have been worked off all the same, also after its successor.
    """

    def __init__(self, store: Store, study: TrackedStudy, *, runs_now: bool) -> None:
        """Prepare; ``read`` is what first asks the server.

        Args:
            store: where to write.
            study: the study.
            runs_now: whether this process runs the study, so that the parent run is shown as
                running and names this process's origin.
        """
        self.experiment_id = ""
        """MLflow's id of the data set's experiment; known after ``read``."""
        self.parent: TrackedRun | None = None
        self.trials: RunsOfKind[int] = RunsOfKind(
            store.client, "trial", lambda tags: int(tags[entries.TRIAL_TAG])
        )
        self.written = 0
        """Metric points that were brought to the server."""
        self._studies: RunsOfKind[str] = RunsOfKind(store.client, "study", lambda _tags: "study")
        self._store = store
        self._study = study
        self._runs_now = runs_now
        self._in_doubt = True

    def run_ids(self) -> dict[int, str]:
        """MLflow's run by trial number, so far as they are made."""
        return {number: run.run_id for number, run in self.trials}

    def doubt(self) -> None:
        """Let the next ``read`` ask the server again."""
        self._in_doubt = True

    def read(self) -> None:
        """Read what the server has of this study, where that is in doubt; make its parent run."""
        if not self._in_doubt:
            return
        self.experiment_id = find_or_make_experiment(self._store, self._study.dataset)
        write_views(self._store, self.experiment_id, self._study.spec)
        self.trials.read(self.experiment_id, self._study.uid)
        self._studies.read(self.experiment_id, self._study.uid)
        self._open_parent()
        self._in_doubt = False

    def write_trial(self, update: TrialUpdate) -> None:
        """Bring the run of a trial up to date; one that waits to begin has none."""
        trial, ranked = update.trial, update.ranked
        if trial.state is TrialState.WAITING and trial.number not in self.trials:
            return
        tags = {**self._study.tags("trial"), entries.TRIAL_TAG: str(trial.number)}
        if trial.baseline is not None:
            tags["safr.baseline"] = trial.baseline
        name = entries.run_name(self._study.spec.name, trial)
        run = self.trials.get_or_make(
            trial.number, name=name, started=start_of(trial), tags=tags | self._parent_tag()
        )
        run.add_dataset(self._dataset_input())
        self.written += write_record(
            run,
            trial,
            self._study.spec,
            alive=update.alive,
            tags=self._parent_tag() | (entries.rank_tags(ranked) if ranked else {}),
            metrics=entries.rank_metrics(ranked, update.ranked_at) if ranked else (),
        )

    def write_end(self, end: StudyEnd) -> None:
        """Write the study's outcome and its files, and close the parent run."""
        assert self.parent is not None
        client, run_id = self._store.client, self.parent.run_id
        for file in end.files:
            client.log_artifact(run_id, str(file))
        for path, table in end.tables.items():
            client.log_text(run_id, _table_text(table), path)
        listed = json.dumps([{"path": path, "type": "table"} for path in end.tables])
        self.written += self.parent.update(
            ended=end.at,
            status="KILLED" if end.interrupted else "FINISHED",
            params={},
            tags={_TABLES_TAG: listed} if end.tables else {},
            metrics=entries.result_metrics(end.result, end.history, end.at),
        )

    def _parent_tag(self) -> dict[str, str]:
        assert self.parent is not None
        return {entries.PARENT_TAG: self.parent.run_id}

    def _open_parent(self) -> None:
        study, again = self._study, self.parent is not None
        tags = study.tags("study") | entries.study_tags(study.spec, study.corpus_facts)
        made = "study" not in self._studies
        parent = self._studies.get_or_make("study", name=study.spec.name, started=now(), tags=tags)
        if not self._runs_now:
            tags = {key: text for key, text in tags.items() if key not in parent.tags}
        parent.add_dataset(self._dataset_input())
        self.written += parent.update(
            ended=now(),
            status="RUNNING" if self._runs_now and not again else parent.status,
            params=entries.study_params(study.spec),
            tags=tags,
        )
        if made or not again:
            plain = json.dumps(study.spec.model_dump(mode="json"), indent=2)
            self._store.client.log_text(parent.run_id, plain, "study.json")
        self.parent = parent

    def _dataset_input(self) -> DatasetInput:
        study = self._study
        dataset = Dataset(
            name=slugify(study.dataset),
            digest=study.provenance.corpus_fingerprint[:DIGEST],
            source_type="local",
            source=json.dumps({"uri": str(study.corpus_facts.get("source", study.dataset))}),
            profile=json.dumps(study.corpus_facts, ensure_ascii=False),
        )
        return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _table_text(table: pd.DataFrame) -> str:
    """A table as ``mlflow.log_table`` writes one, which would append to an earlier one.

    A value that is missing or no finite number is null.
    """
    # The most digits that pandas writes.
    text: str = table.to_json(
        orient="split", index=False, date_format="iso", force_ascii=False, double_precision=15
    )
    return text


def start_of(trial: TrialRecord) -> int:
    """Start of a new run of a trial, in milliseconds since 1970."""
    return (entries.milliseconds(trial.ended) or now()) - _lasted(trial)


def write_record(
    run: TrackedRun,
    trial: TrialRecord,
    spec: StudySpec,
    *,
    alive: bool = False,
    tags: Mapping[str, str],
    metrics: Sequence[Metric],
) -> int:
    """Bring a run to what a record says of its training.

    Args:
        run: of a trial, or of a confirmation.
        trial: the record.
        spec: the study's settings.
        alive: whether a process trains it now.
        tags: further tags.
        metrics: further points.

    Returns:
        Number of metric points that were written.
    """
    # A run that MLflow heard of late, as its writer was busy, began before that.
    ended = max(entries.milliseconds(trial.ended) or 0, run.started + _lasted(trial))
    points = [*entries.final_metrics(trial, spec, ended), *metrics]
    spent = accumulate(report.seconds for report in trial.epochs)
    for report, elapsed in zip(trial.epochs, spent, strict=True):
        points += entries.epoch_metrics(report, spec, run.started + round(1000 * elapsed))
    all_tags = {**entries.trial_tags(trial, spec), **tags}
    # Epochs without a gap: what is written up to here is not looked up one by one.
    epochs = {report.epoch for report in trial.epochs}
    if whole := next(n for n in count() if n + 1 not in epochs):
        all_tags[entries.EPOCHS_TAG] = str(whole)
    return run.update(
        ended=ended,
        status=_STATUS.get(trial.state, "RUNNING" if alive else "KILLED"),
        params=entries.trial_params(trial, spec),
        tags=all_tags,
        metrics=points,
    )


def _lasted(trial: TrialRecord) -> int:
    """Time of a trial's training and evaluation, in milliseconds."""
    return round(1000 * max(trial.seconds, sum(report.seconds for report in trial.epochs)))


def now() -> int:
    """Milliseconds since 1970."""
    return int(1000 * time.time())
