"""A small study made of plain records, for the tests of what shows or stores one."""

from __future__ import annotations

from pathlib import Path

from plain_scores import a_deletion, made_scores

from safr_study.checkpoint.manifest import verify_model
from safr_study.records import (
    CheckpointRef,
    EpochReport,
    LossTerms,
    Provenance,
    RankedTrial,
    Scores,
    StudyResult,
    TrialRecord,
    TrialState,
)
from safr_study.settings import StudySpec
from safr_study.tracking.store import Store
from safr_study.tracking.study_runs import TrackedStudy
from safr_study.tracking.writer import StudyWriter

FACTS = {"source": "built in", "train texts": 40, "empty texts (dev)": 1}
PROVENANCE = Provenance("c0ffee", {"python": "3.11", "torch": "2.13"}, "ab" * 32, "cpu")


def study_spec(name: str = "s1", dataset: str = "planted", **changes: object) -> StudySpec:
    return StudySpec.parse(
        {
            "name": name,
            "corpus": {"dataset": dataset, "train_limit": 40},
            "space": {
                "name": "lambda",
                "parameters": {
                    "lambda_imp": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}
                },
            },
            "trials": 3,
            **changes,
        }
    )


def tracked_study(spec: StudySpec, uid: str | None = None) -> TrackedStudy:
    return TrackedStudy(
        uid=uid or f"{spec.name}-1",
        dataset=spec.corpus.dataset,
        spec=spec,
        provenance=PROVENANCE,
        corpus_facts=FACTS,
    )


def writer_of(
    store: Store, spec: StudySpec, uid: str | None = None, *, runs_now: bool = True
) -> StudyWriter:
    return StudyWriter(store, tracked_study(spec, uid), runs_now=runs_now)


def epoch(number: int, *, vmask: bool = True) -> EpochReport:
    """Numbers that differ between epochs and metrics, so that a swap shows."""
    return EpochReport(
        epoch=number,
        train=LossTerms(
            total=1.5 / number,
            cross_entropy=1.25 / number,
            importance=0.3 / number if vmask else None,
            interaction=0.07 / number if vmask else None,
        ),
        dev_accuracy=60.1 + number,
        dev_loss=0.7 - 0.01 * number,
        gate_openness=0.5 + 0.03 * number if vmask else None,
        mean_norm=16.2 + number,
        best=True,
        seconds=2.5 + 0.125 * number,
    )


def trial(
    number: int,
    *,
    state: TrialState = TrialState.RUNNING,
    epochs: int = 0,
    baseline: str | None = None,
    failure: str | None = None,
) -> TrialRecord:
    """A trial without scores; a baseline is one without VMASK."""
    return TrialRecord(
        number=number,
        state=state,
        parameters={
            "vmask": baseline is None,
            "lambda_imp": 0.01 * (number + 1) / 3 if baseline is None else None,
        },
        seed=7,
        baseline=baseline,
        epochs=tuple(epoch(n + 1, vmask=baseline is None) for n in range(epochs)),
        failure=failure,
    )


def complete_trial(
    number: int,
    accuracy: float,
    srs: float,
    *,
    folder: Path | None = None,
    epochs: int = 2,
    saturated: bool = False,
    baseline: str | None = None,
) -> TrialRecord:
    """A complete trial, with a checkpoint of its own below ``folder``."""
    running = trial(number, epochs=epochs, baseline=baseline)
    return TrialRecord(
        number=number,
        state=TrialState.COMPLETE,
        parameters=running.parameters,
        seed=running.seed,
        baseline=baseline,
        values=(accuracy, srs),
        scores=_scores(accuracy, srs, saturated=saturated),
        checkpoint=checkpoint(folder / str(number), number) if folder is not None else None,
        epochs=running.epochs,
        seconds=sum(report.seconds for report in running.epochs) + 1.0,
        device="cpu",
    )


def checkpoint(folder: Path, number: int) -> CheckpointRef:
    """A real model, small and untrained, unlike those of other numbers."""
    from tiny_model import save_tiny_model  # slow, and most tests need no model

    return verify_model(save_tiny_model(folder, seed=number))


def ranked_study(
    spec: StudySpec,
    fronts: list[list[TrialRecord]],
    *,
    knee: int | None = None,
    compromise: int | None = None,
    unranked: tuple[TrialRecord, ...] = (),
) -> StudyResult:
    """A study whose fronts are given; ``knee`` and ``compromise`` are trials' numbers."""
    ranked = [
        RankedTrial(
            member,
            front,
            float("inf"),
            knee=member.number == knee,
            compromise=member.number == compromise,
        )
        for front, members in enumerate(fronts)
        for member in members
    ]
    return StudyResult(
        name=spec.name,
        dataset=spec.corpus.dataset,
        objectives=tuple(objective.name for objective in spec.objectives),
        reference_point=(50.0, 0.0),
        hypervolume=123.25,
        ranked=tuple(ranked),
        unranked=unranked,
        asked=spec.trials,
    )


def _scores(accuracy: float, srs: float, *, saturated: bool) -> Scores:
    return made_scores(
        split="dev",
        examples=200,
        accuracy=accuracy,
        accuracy_se=2.125,
        majority_accuracy=51.5,
        loss=0.625,
        deletions=(
            a_deletion(
                k=0.3,
                realised_share=0.296875,
                accuracy_top=accuracy - srs,
                srs=srs,
                srs_se=1.75,
                dominant_share=0.97 if saturated else 0.53125,
                saturated=saturated,
            ),
        ),
    )
