"""Search: run a study, rank its trials, track and register them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from safr_study.cluster.gpu_pilot import measured_slots
from safr_study.cluster.ray_cluster import cluster
from safr_study.data import check_concerns, encoded_corpus
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.search.plan import (
    PER_TRIAL,
    StudyPlan,
    check_measurable,
    check_same_study,
    done_count,
    study_facts,
    study_plan,
    warm_start_trials,
)
from safr_study.features.search.publish import finish_tracking
from safr_study.features.study_base.cost import estimate, free_space_check
from safr_study.features.study_base.provenance import provenance
from safr_study.features.study_base.results import rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home
from safr_study.ledger.driver_lock import driver_lock
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import delivery_begins, delivery_ends, remember_command
from safr_study.ledger.retention import earlier_keys, tidy_study
from safr_study.ledger.stop_flag import heeding
from safr_study.ledger.storage import open_storage, stored_studies
from safr_study.object_store import check_place
from safr_study.records import (
    RegisteredModel,
    StudyObserver,
    StudyResult,
    TrialRecord,
)
from safr_study.runner.source import SearchSource
from safr_study.runner.task import make_trial_root
from safr_study.sampling.fixed_trials import planned_trials
from safr_study.settings import StudySpec
from safr_study.tracking.data_names import named_apart
from safr_study.tracking.registry import register_front
from safr_study.tracking.runs import close_open_runs
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.study_runs import TrackedStudy
from safr_study.tracking.writer import StudyWriter


class Progress(StudyObserver, Protocol):
    """Who shows a study to people while it runs."""

    def planned(self, plan: StudyPlan, trials: Sequence[TrialRecord]) -> None:
        """The study is about to begin, with these trials in its ledger."""

    def doing(self, what: str) -> None:
        """Something that takes seconds begins."""


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """A study's end."""

    spec: StudySpec
    result: StudyResult
    models: tuple[RegisteredModel, ...]
    untracked: str | None
    """What the tracking server did not get, in a sentence; ``None``: nothing."""
    budget: str | None = None
    """The budget that ended it before all its trials were done, in a sentence."""

    @property
    def shortfall(self) -> str | None:
        """Why there are fewer good trials than asked, in a sentence; ``None``: there are not."""
        # Those asked for, or all that the study's grid has.
        planned, done = planned_trials(self.spec), done_count(self.result.trials)
        if done >= planned or self.budget is not None:
            return None
        reason = (
            "its grid has no more points"
            if self.spec.sampler == "grid"
            else "the same command tries as many more"
        )
        return f"study {self.spec.name!r} ended with {done} good trials of {planned}; {reason}"


def search(
    spec: StudySpec,
    stores: Stores,
    *,
    progress: Progress,
    fresh: bool = False,
    command: Sequence[str] = (),
) -> SearchOutcome:
    """Run a study to its end, or go on with it; rank, track and register.

    Args:
        spec: the study.
        stores: where its services are.
        progress: shown what happens.
        fresh: begin anew under the same name; what was finished stays in the ledger.
        command: that asked for it, from ``search`` on, to be shown to whoever looks at the study.

    Raises:
        StudyInterrupted: by Ctrl-C; all that was finished is in the ledger.
        BadInput: the settings do not fit the data or the study that is there.
        ServiceUnreachable: the hub, ledger, cluster or tracking server does not answer.
    """
    home = stores.home
    # What can be refused is before the lock: nothing of the study is left then.
    corpus = encoded_corpus(spec.corpus, home.corpora)
    check_measurable(spec, corpus)
    if fresh or not _may_be_stored(spec, stores):
        check_concerns(corpus.concerns, spec.corpus)
        warm_start_trials(spec, stores)
        if stores.checkpoints_url is not None:
            check_place(stores.checkpoints_url)
    store = open_store(home, stores.tracking_uri)
    with driver_lock(home, spec.name, stores.storage_url) as lease:
        storage = None
        # Asked again: another driver may have begun it meanwhile, and even ended it.
        if _may_be_stored(spec, stores):
            storage = open_storage(home, stores.storage_url, spec.name, create=True)
        ledger = None if fresh or storage is None else Ledger.load(storage, spec.name)
        if ledger is not None:
            check_same_study(ledger, spec, corpus.fingerprint)
            _check_same_place(ledger, stores)
            tidy_study(home, ledger)
        else:
            check_concerns(corpus.concerns, spec.corpus)
        url = stores.checkpoints_url if ledger is None else ledger.checkpoints_url
        if url is not None:
            url = check_place(url)
        before = ledger.trials() if ledger is not None else []
        left = planned_trials(spec) - done_count(before)
        # The cluster first: nothing is written for a study that it has no room for.
        with cluster(stores.address) if left > 0 else contextlib.nullcontext():
            slots = measured_slots(spec, corpus) if left > 0 else None
            if slots is not None and url is None:
                free_space_check(home, estimate(spec, corpus, slots, left).disk_bytes)
            lease.check(f"study {spec.name!r}")
            if ledger is None:
                if storage is None:
                    storage = open_storage(home, stores.storage_url, spec.name, create=True)
                assert storage is not None
                # One of another version is not read, and stays as it is.
                with contextlib.suppress(BadInput):
                    _abandon(Ledger.load(storage, spec.name), store, home)
                known = warm_start_trials(spec, stores)
                facts = named_apart(study_facts(spec, corpus), spec.corpus.dataset, store)
                ledger = Ledger.create(storage, spec, facts, known, checkpoints=url)
            ledger.update_spec(spec)
            remember_command(ledger, command)
            here = provenance(corpus.fingerprint, device=PER_TRIAL)
            writer = StudyWriter(store, TrackedStudy.of(ledger, here))
            delivery_begins(ledger, stores.tracking_uri)
            writer.start(before)
            if slots is not None:
                plan = study_plan(
                    spec,
                    corpus,
                    slots,
                    ledger,
                    here=stores.address is None and not slots.gpus_per_trial,
                    on_probe=lambda: progress.doing("trying some steps of training"),
                )
                progress.planned(plan, before)
            try:
                out_of_time = False
                if slots is not None:
                    # Here alone, as Ray reads its environment when it is first imported.
                    from safr_study.runner.driver import run

                    place = ledger.checkpoints(home)
                    make_trial_root(place)
                    source = SearchSource(
                        ledger,
                        spec,
                        checkpoints=place,
                        gpus_per_trial=slots.gpus_per_trial,
                        observers=[writer, progress],
                    )
                    with heeding(ledger, lease):
                        out_of_time = run(
                            source,
                            corpus,
                            slots=slots,
                            lease=lease,
                            scratch=home.scratch / ledger.uid,
                            time_budget=spec.time_budget,
                        )
                lease.check(f"study {spec.name!r}")
            except BaseException:
                if lease.still_held():
                    # No run stays open, whatever ended the study. If it was the ledger, closing
                    # fails too: the first error is the one to tell, and the next start closes it.
                    with contextlib.suppress(Exception):
                        finish_tracking(writer, ledger, interrupted=True)
                else:
                    # Another driver may have the study: neither its ledger nor its runs are ours.
                    writer.abandon()
                raise
        untracked = finish_tracking(writer, ledger, interrupted=False)
        result = rank_ledger(ledger)
        models: Sequence[RegisteredModel] = ()
        if untracked is None:
            lease.check(f"study {spec.name!r}")
            models, untracked = register(store, ledger, result)
        return SearchOutcome(
            spec,
            result,
            tuple(models),
            untracked,
            budget=_budget_sentence(spec, ledger.trials(), out_of_time=out_of_time),
        )


def register(
    store: Store, ledger: Ledger, result: StudyResult
) -> tuple[Sequence[RegisteredModel], str | None]:
    """Register the front of a study that has ended.

    Returns:
        Its versions, and in a sentence why there are none; the ledger remembers that.
    """
    try:
        earlier = earlier_keys(ledger)
        return register_front(
            store, result, uid=ledger.uid, spec=ledger.spec, earlier=earlier
        ), None
    except ServiceUnreachable as error:
        # The study is done and its runs are there: a server that goes now takes nothing away.
        missing = f"{error}; the front's models are not registered yet"
        delivery_ends(ledger, missing, ended=True)
        return (), missing


def _may_be_stored(spec: StudySpec, stores: Stores) -> bool:
    """Whether a ledger may hold the study.

    A database is not looked into: one driver at a time opens it, as it may still have to be made.
    """
    return stores.storage_url is not None or spec.name in stored_studies(stores.home, None)


def _abandon(ledger: Ledger | None, store: Store, home: Home) -> None:
    """A study that is begun anew leaves nothing of the old one that looks as if it ran."""
    if ledger is not None:
        tidy_study(home, ledger)
        close_open_runs(store, dataset=ledger.facts.slug, uid=ledger.uid)


def _check_same_place(ledger: Ledger, stores: Stores) -> None:
    """A study keeps its checkpoints where it began to.

    Raises:
        BadInput: another place is asked for.
    """
    asked, there = stores.checkpoints_url, ledger.checkpoints_url
    if asked is not None and asked.rstrip("/") != there:
        raise BadInput(
            "checkpoints",
            f"study {ledger.spec.name!r} keeps them at {there or 'its home'}; leave --checkpoints "
            "out, begin anew with --fresh, or choose another --study",
        )


def _budget_sentence(
    spec: StudySpec, trials: Sequence[TrialRecord], *, out_of_time: bool
) -> str | None:
    missing = planned_trials(spec) - done_count(trials)
    epochs = sum(len(trial.epochs) for trial in trials)
    if missing <= 0:
        return None
    if out_of_time:
        spent = "the time budget is spent"
    elif spec.epoch_budget is not None and epochs >= spec.epoch_budget:
        spent = f"the budget of {spec.epoch_budget:,} epochs is spent ({epochs:,} were run)"
    else:
        return None
    return f"{spent}, {missing} trials are not done; the same command with a larger one goes on"
