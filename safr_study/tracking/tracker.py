"""A study and its trials as MLflow runs: one parent, one child per trial."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

from safr_study.data import slugify
from safr_study.records import EpochReport, Provenance, StudyResult, TrialRecord, TrialState
from safr_study.records.history import HistoryPoint
from safr_study.settings import StudySpec
from safr_study.tracking import entries
from safr_study.tracking.artifacts import TABLES_TAG, put_file, table_file, tables_tag
from safr_study.tracking.news import Item, StudyNews, TrialNews, merged, moment_of
from safr_study.tracking.patience import INTERRUPTED_SECONDS, LIMIT_SECONDS, server_patience
from safr_study.tracking.runs import (
    TrackedRun,
    find_or_make_experiment,
    find_runs,
    one_of_each,
)
from safr_study.tracking.store import Store, is_passing
from safr_study.tracking.writer import BackgroundWriter

_STUDY = sys.maxsize
"""The writer's key of the parent run: after all trials."""
_ENDED = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
}
_LOST = "RESOURCE_DOES_NOT_EXIST"
"""A server says so that came back without what it had."""


class Tracker:
    """Shows a study in MLflow while it runs; a ``StudyObserver`` that never blocks or raises.

    A background thread writes. It compares the newest record of a trial with what the run has, so
    that a resumed study, a replay and a second attempt go on in the same runs, without duplicates.

    After an outage it reads again what the server has before it writes: a call whose answer was
    not waited for may have been worked off all the same, also after its successor.
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
        replays: bool = False,
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
            replays: nobody runs the study: the parent run is not shown as running, and what it
                says of its origin stays.
        """
        self._store = store
        self._client = store.client
        self._study = study
        self._dataset = dataset
        self._uid = uid
        self._spec = spec
        self._provenance = provenance
        self._corpus_facts = dict(corpus_facts)
        self._replays = replays
        self._experiment_id = ""
        self._parent: TrackedRun | None = None
        self._children: dict[int, TrackedRun] = {}
        self._writer: BackgroundWriter[Item] | None = None
        self._doubtful = False
        """Whether the server may have other things than this process knows."""
        self._had_outage = False
        self._written_before = 0

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

    @property
    def written(self) -> int:
        """Metric points that were brought to the server."""
        runs = [*list(self._children.values()), *([self._parent] if self._parent else [])]
        return self._written_before + sum(run.written for run in runs)

    def start(self) -> None:
        """Find or make the experiment and the parent run, and start to write.

        Raises:
            ServiceUnreachable: the tracking server does not do its work.
        """
        with self._store.answering():
            self._load()
        self._writer = BackgroundWriter(self._write, merged)

    def trial_started(self, trial: TrialRecord) -> None:
        """Make the trial's run, or open it again."""
        self._offer(TrialNews(trial, alive=True))

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        """Add an epoch's metrics."""
        self._offer(TrialNews(trial, reports={report.epoch: report}, alive=True))

    def trial_ended(self, trial: TrialRecord) -> None:
        """Add the final metrics and close the run."""
        self._offer(TrialNews(trial, alive=True))

    def replay(self, trials: Sequence[TrialRecord]) -> None:
        """Bring the runs of these trials up to date; what is there already is not written again.

        A trial that is still marked as running has lost its driver: its run is shown as killed,
        until ``trial_started`` opens it again.
        """
        for trial in trials:
            self._offer(TrialNews(trial))

    def finish_study(
        self,
        result: StudyResult,
        *,
        history: Sequence[HistoryPoint] = (),
        artifacts: Mapping[str, bytes] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        interrupted: bool = False,
        patience: float | None = None,
        limit: float = LIMIT_SECONDS,
    ) -> str | None:
        """Write the trials' ranks and the study's outcome, close the parent run, and stop.

        Args:
            result: the ranked trials and the others; one that is marked as running is shown as
                killed.
            history: how the hypervolume grew.
            artifacts: files to keep with the parent run, by path.
            tables: tables to keep with it, by path; they end in ``.json``, as MLflow's do.
            interrupted: the study will go on another time; the parent run is shown as killed.
            patience: seconds without success until the server is given up; else by how it ended.
            limit: seconds to wait in all.

        Returns:
            As ``finish``.
        """
        # What was written before an outage is compared once more, now that all of it is known.
        self._doubtful |= self._had_outage
        as_of = moment_of(result) or _now()
        for ranked in result.ranked:
            self._offer(TrialNews(ranked.trial, ranked=ranked, as_of=as_of))
        self.replay(result.unranked)
        files = {**(artifacts or {}), **{at: table_file(one) for at, one in (tables or {}).items()}}
        self._offer(
            StudyNews(result, tuple(history), files, tuple(tables or ()), as_of, interrupted)
        )
        if patience is None and interrupted:
            patience = min(INTERRUPTED_SECONDS, server_patience())
        return self.finish(patience, limit)

    def finish(self, patience: float | None = None, limit: float = LIMIT_SECONDS) -> str | None:
        """Wait until all that was observed is written, and stop.

        Args:
            patience: seconds without success until the server is given up; ``None``: the usual.
            limit: seconds to wait in all.

        Returns:
            A sentence on what the server did not take; ``None`` when it has everything.
        """
        if self._writer is None:
            return None
        left = self._writer.finish(server_patience() if patience is None else patience, limit)
        if left is None:
            return None
        parts = [f"a run was refused ({fault})" for fault in left.faults]
        if left.late:
            runs = f"{len(left.late)} {'run' if len(left.late) == 1 else 'runs'}"
            why = left.outage or "it is slow"
            parts.append(f"{runs} could not be brought up to date ({why})")
        return f"tracking: {self._store.shown_uri}: {'; '.join(parts)}; the ledger has everything"

    def _offer(self, news: Item) -> None:
        if self._writer is not None:
            key = news.trial.number if isinstance(news, TrialNews) else _STUDY
            self._writer.offer(key, news)

    def _write(self, key: int, item: Item) -> None:
        try:
            self._write_once(key, item)
        except MlflowException as error:
            if error.error_code != _LOST:
                self._doubtful |= is_passing(error)
                self._had_outage |= is_passing(error)
                raise
            self._doubtful = self._had_outage = True
            self._write_once(key, item)
        except Exception:
            self._doubtful = self._had_outage = True
            raise

    def _write_once(self, key: int, item: Item) -> None:
        if self._doubtful:
            self._load()
            self._doubtful = False
        if isinstance(item, StudyNews):
            self._write_study(item)
        elif item.trial.state is not TrialState.WAITING or key in self._children:
            self._write_trial(item)

    def _load(self) -> None:
        """Read what the server has of this study; make what a study begins with."""
        held = [run.run_id for run in self._children.values()]
        parent = self.study_run_id
        self._experiment_id = find_or_make_experiment(self._store, self._dataset)
        found = find_runs(self._client, self._experiment_id, self._uid, "trial")
        numbers = (int(run.data.tags[entries.TRIAL_TAG]) for run in found)
        trials = one_of_each(self._client, zip(numbers, found, strict=True), held)
        found = find_runs(self._client, self._experiment_id, self._uid, "study")
        studies = ((_STUDY, run) for run in found)
        kept = one_of_each(self._client, studies, () if parent is None else (parent,))
        opened = self._open_parent(kept.get(_STUDY))
        self._written_before = self.written
        self._parent = opened
        self._children = {
            number: TrackedRun(self._client, run, fresh=False) for number, run in trials.items()
        }

    def _write_trial(self, news: TrialNews) -> None:
        trial = news.trial
        reports = [news.reports[epoch] for epoch in sorted(news.reports)]
        elapsed, spent = {}, 0.0
        for report in reports:
            spent += report.seconds
            elapsed[report.epoch] = spent
        seconds = max(spent, trial.seconds)
        child = self._children.get(trial.number)
        if child is None:
            child = self._open_child(trial, seconds=seconds)
            self._children[trial.number] = child
        child.add_dataset(self._dataset_input())
        ended = entries.milliseconds(trial.ended)
        if ended is None:
            ended = child.started + round(1000 * seconds)
        whole = next(n for n in range(len(reports) + 1) if n + 1 not in news.reports)
        measures = [measure for r in reports for measure in entries.epoch_measures(r, self._spec)]
        measures += entries.final_measures(trial, self._spec, ended)
        measures += entries.rank_measures(news.ranked, news.as_of)
        tags = entries.trial_tags(trial, self._spec, news.ranked)
        if self._parent is not None:
            tags[entries.PARENT_TAG] = self._parent.run_id
        if whole:
            tags[entries.EPOCHS_TAG] = str(whole)
        child.update(
            ended=ended,
            status=_ENDED.get(trial.state, "RUNNING" if news.alive else "KILLED"),
            params=entries.trial_params(trial, self._spec),
            tags=tags,
            measures=measures,
            elapsed=elapsed,
        )

    def _write_study(self, news: StudyNews) -> None:
        assert self._parent is not None
        for path, content in news.artifacts.items():
            put_file(self._client, self._parent.run_id, path, content)
        self._parent.update(
            ended=news.as_of,
            status="KILLED" if news.interrupted else "FINISHED",
            params={},
            tags={TABLES_TAG: tables_tag(news.tables)} if news.tables else {},
            measures=entries.result_measures(news.result, news.history, news.as_of),
        )
        if self._had_outage:
            # A run that was asked for twice may have come up only now.
            self._load()

    def _open_parent(self, run: Any | None) -> TrackedRun:
        tags = {
            **self._common_tags("study"),
            **entries.study_tags(self._spec, self._provenance, self._corpus_facts),
        }
        found = run is not None
        if run is None:
            run = self._client.create_run(
                self._experiment_id, start_time=_now(), tags=tags, run_name=self._study
            )
        elif self._replays:
            tags = {key: text for key, text in tags.items() if key not in run.data.tags}
        parent = TrackedRun(self._client, run, fresh=not found)
        parent.add_dataset(self._dataset_input())
        parent.update(
            ended=_now(),
            status=run.info.status if self._replays or self._parent is not None else "RUNNING",
            params=entries.study_params(self._spec),
            tags=tags,
        )
        if not found or self._parent is None:
            plain = json.dumps(self._spec.model_dump(mode="json"), indent=2)
            put_file(self._client, parent.run_id, "study.json", plain.encode())
        return parent

    def _open_child(self, trial: TrialRecord, *, seconds: float) -> TrackedRun:
        assert self._parent is not None
        tags = {
            **self._common_tags("trial"),
            **entries.provenance_tags(self._provenance),
            **entries.filter_tags(self._spec),
            entries.TRIAL_TAG: str(trial.number),
            entries.PARENT_TAG: self._parent.run_id,
        }
        if trial.baseline is not None:
            tags["safr.baseline"] = trial.baseline
        ended = entries.milliseconds(trial.ended) or _now()
        run = self._client.create_run(
            self._experiment_id,
            start_time=ended - round(1000 * seconds),
            tags=tags,
            run_name=entries.run_name(self._study, trial),
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


def _now() -> int:
    return int(1000 * time.time())
