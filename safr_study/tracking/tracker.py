"""A study and its trials as MLflow runs: one parent, one child per trial."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

from safr_study.data import slugify
from safr_study.records import (
    EpochReport,
    Provenance,
    RankedTrial,
    StudyResult,
    TrialRecord,
    TrialState,
)
from safr_study.settings import StudySpec
from safr_study.tracking import entries
from safr_study.tracking.runs import TrackedRun, experiment_name, find_runs
from safr_study.tracking.store import Store
from safr_study.tracking.writer import BackgroundWriter

_STUDY = sys.maxsize
"""The writer's key of the parent run: after all trials."""
_ENDED = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
}


class Tracker:
    """Shows a study in MLflow while it runs; a ``StudyObserver`` that never blocks or raises.

    A background thread writes. It compares the newest record of a trial with what the run has, so
    that a resumed study, a replay and a second attempt go on in the same runs, without duplicates.
    """

    def __init__(
        self,
        store: Store,
        *,
        study: str,
        dataset: str,
        uid: str,
        spec: StudySpec,
        provenance: Provenance,
        corpus_facts: Mapping[str, int | str],
    ) -> None:
        """Prepare; ``start`` is what first writes.

        Args:
            store: where to write.
            study: the study's name.
            dataset: name of the data set, as the user gave it.
            uid: the key of this study among all that were ever written, letters, digits and
                ``._-``; a study begun afresh under an old name has a new one.
            spec: the study's settings.
            provenance: of the numbers that this process adds.
            corpus_facts: counts and other facts of the corpus, by name.
        """
        self._store = store
        self._client = store.client
        self._study = study
        self._dataset = dataset
        self._uid = uid
        self._spec = spec
        self._provenance = provenance
        self._corpus_facts = dict(corpus_facts)
        self._experiment_id = ""
        self._parent: TrackedRun | None = None
        self._children: dict[int, TrackedRun] = {}
        self._writer: BackgroundWriter[_Item] | None = None

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the data set's experiment; known after ``start``."""
        return self._experiment_id

    @property
    def study_run_id(self) -> str | None:
        """The parent run; known after ``start``."""
        return None if self._parent is None else self._parent.run_id

    def run_id(self, trial_number: int) -> str | None:
        """The child run of a trial, once it is made."""
        child = self._children.get(trial_number)
        return None if child is None else child.run_id

    @property
    def waiting(self) -> int:
        """How many runs the server is behind with."""
        return 0 if self._writer is None else self._writer.waiting

    def run_ids(self) -> dict[int, str]:
        """The child runs that are made, by trial number."""
        return {number: child.run_id for number, child in list(self._children.items())}

    def start(self) -> None:
        """Find or make the experiment and the parent run, and start to write.

        Raises:
            ServiceUnreachable: the tracking server does not do its work.
        """
        with self._store.answering():
            self._experiment_id = _experiment(self._store, self._dataset)
            self._children = {
                int(run.data.tags[entries.TRIAL_TAG]): TrackedRun(self._client, run, fresh=False)
                for run in find_runs(self._client, self._experiment_id, self._uid, "trial")
            }
            self._parent = self._open_parent()
        self._writer = BackgroundWriter(self._write, _merged)

    def trial_started(self, trial: TrialRecord) -> None:
        """Make the trial's run, or open it again."""
        self._offer(_TrialNews(trial, alive=True))

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """Add an epoch's metrics."""
        self._offer(_TrialNews(trial, reports={report.epoch: report}, alive=True))

    def trial_ended(self, trial: TrialRecord) -> None:
        """Add the final metrics and close the run."""
        self._offer(_TrialNews(trial, alive=True))

    def replay(self, trials: Sequence[TrialRecord]) -> None:
        """Bring the runs of these trials up to date; what is there already is not written again.

        A trial that is still marked as running has lost its driver: its run is shown as killed,
        until ``trial_started`` opens it again.
        """
        for trial in trials:
            self._offer(_TrialNews(trial))

    def finish_study(
        self,
        result: StudyResult,
        files: Sequence[Path] = (),
        *,
        interrupted: bool = False,
        timeout: float = 60.0,
    ) -> str | None:
        """Write the trials' ranks and the study's outcome, close the parent run, and stop.

        Args:
            result: the ranked trials and the others; one that is marked as running is shown as
                killed.
            files: pictures and tables to keep with the parent run.
            interrupted: the study will go on another time; the parent run is shown as killed.
            timeout: seconds to wait for the server.

        Returns:
            As ``finish``.
        """
        for ranked in result.ranked:
            self._offer(_TrialNews(ranked.trial, ranked=ranked))
        self.replay(result.unranked)
        self._offer(_StudyNews(result, tuple(files), interrupted))
        return self.finish(timeout)

    def finish(self, timeout: float = 60.0) -> str | None:
        """Wait until all that was observed is written, for at most ``timeout`` seconds, and stop.

        Returns:
            A sentence on what the server did not take; ``None`` when it has everything.
        """
        if self._writer is None:
            return None
        missing = self._writer.finish(timeout)
        if missing is None:
            return None
        return f"tracking: {self._store.shown_uri}: {missing}; the ledger has everything"

    def _offer(self, news: _Item) -> None:
        if self._writer is not None:
            key = news.trial.number if isinstance(news, _TrialNews) else _STUDY
            self._writer.offer(key, news)

    def _write(self, key: int, item: _Item) -> None:
        if isinstance(item, _StudyNews):
            self._write_study(item)
        elif item.trial.state is not TrialState.WAITING or key in self._children:
            self._write_trial(item)

    def _write_trial(self, news: _TrialNews) -> None:
        trial = news.trial
        reports = [news.reports[epoch] for epoch in sorted(news.reports)]
        elapsed, spent = {}, 0.0
        for report in reports:
            spent += report.seconds
            elapsed[report.epoch] = spent
        child = self._children.get(trial.number)
        if child is None:
            child = self._open_child(trial, seconds=max(spent, trial.seconds))
            self._children[trial.number] = child
        child.add_dataset(self._dataset_input())
        whole = next(n for n in range(len(reports) + 1) if n + 1 not in news.reports)
        measures = [measure for r in reports for measure in entries.epoch_measures(r, self._spec)]
        measures += entries.final_measures(trial, self._spec)
        measures += entries.rank_measures(news.ranked)
        tags = entries.trial_tags(trial, news.ranked)
        if whole:
            tags[entries.EPOCHS_TAG] = str(whole)
        child.update(
            now=_now(),
            status=_ENDED.get(trial.state, "RUNNING" if news.alive else "KILLED"),
            params=entries.trial_params(trial, self._spec),
            tags=tags,
            measures=measures,
            elapsed=elapsed,
        )

    def _write_study(self, news: _StudyNews) -> None:
        assert self._parent is not None
        for file in news.files:
            self._client.log_artifact(self._parent.run_id, str(file))
        self._parent.update(
            now=_now(),
            status="KILLED" if news.interrupted else "FINISHED",
            params={},
            tags={},
            measures=entries.result_measures(news.result),
        )

    def _open_parent(self) -> TrackedRun:
        tags = {
            **self._common_tags("study"),
            **entries.study_tags(self._spec, self._provenance, self._corpus_facts),
        }
        found = find_runs(self._client, self._experiment_id, self._uid, "study")
        run = (
            found[0]
            if found
            else self._client.create_run(
                self._experiment_id, start_time=_now(), tags=tags, run_name=self._study
            )
        )
        parent = TrackedRun(self._client, run, fresh=not found)
        parent.add_dataset(self._dataset_input())
        parent.update(
            now=_now(), status="RUNNING", params=entries.study_params(self._spec), tags=tags
        )
        self._client.log_dict(run.info.run_id, self._spec.model_dump(mode="json"), "study.json")
        return parent

    def _open_child(self, trial: TrialRecord, *, seconds: float) -> TrackedRun:
        assert self._parent is not None
        # It may be there although nobody saw the answer of the call that made it.
        found = find_runs(self._client, self._experiment_id, self._uid, "trial", trial=trial.number)
        if found:
            return TrackedRun(self._client, found[0], fresh=False)
        tags = {
            **self._common_tags("trial"),
            **entries.provenance_tags(self._provenance),
            "preset": self._spec.train.preset,
            entries.TRIAL_TAG: str(trial.number),
            entries.PARENT_TAG: self._parent.run_id,
        }
        if trial.baseline is not None:
            tags["safr.baseline"] = trial.baseline
        run = self._client.create_run(
            self._experiment_id,
            start_time=_now() - round(1000 * seconds),
            tags=tags,
            run_name=trial.label,
        )
        return TrackedRun(self._client, run, fresh=True)

    def _common_tags(self, kind: str) -> dict[str, str]:
        return {
            entries.STUDY_TAG: self._study,
            entries.UID_TAG: self._uid,
            entries.KIND_TAG: kind,
            "dataset": self._dataset,
        }

    def _dataset_input(self) -> DatasetInput:
        dataset = Dataset(
            name=slugify(self._dataset),
            digest=self._provenance.corpus_fingerprint[:16],
            source_type="local",
            source=json.dumps({"uri": str(self._corpus_facts.get("source", self._dataset))}),
            profile=json.dumps(self._corpus_facts, ensure_ascii=False),
        )
        return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


@dataclass(frozen=True, slots=True)
class _TrialNews:
    trial: TrialRecord
    reports: Mapping[int, EpochReport] = field(default_factory=dict)
    """By epoch; those of the record are put in."""
    ranked: RankedTrial | None = None
    alive: bool = False
    """Whether this process runs the trial."""

    def __post_init__(self) -> None:
        known = {report.epoch: report for report in self.trial.epochs}
        object.__setattr__(self, "reports", {**known, **self.reports})


@dataclass(frozen=True, slots=True)
class _StudyNews:
    result: StudyResult
    files: tuple[Path, ...]
    interrupted: bool


_Item = _TrialNews | _StudyNews


def _merged(older: _Item, newer: _Item) -> _Item:
    if isinstance(older, _TrialNews) and isinstance(newer, _TrialNews):
        return replace(
            newer,
            reports={**older.reports, **newer.reports},
            ranked=newer.ranked or older.ranked,
        )
    return newer


def _experiment(store: Store, dataset: str) -> str:
    client = store.client
    name = experiment_name(dataset)
    found = client.get_experiment_by_name(name)
    tags = {"mlflow.experimentKind": "custom_model_development"}
    if found is None:
        location = None
        if store.artifact_root is not None:
            location = (store.artifact_root / slugify(dataset)).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:
            # Another study of this data set may have made it just now.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for key, value in tags.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def _now() -> int:
    return int(1000 * time.time())
