"""A study's way from its ledger to MLflow: while it runs, at its end, and in a replay."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import yaml

from safr_study.data import EncodedCorpus
from safr_study.features.study_base.results import (
    Content,
    rank_ledger,
    result_files,
    write_files,
)
from safr_study.figures.parameters import parallel_figure
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import began, command_of, delivery_ends
from safr_study.records import StudyResult
from safr_study.records.study import HistoryPoint
from safr_study.render.front_page import front_page
from safr_study.render.history import history_table, hypervolume_history, study_log
from safr_study.render.result_tables import result_table
from safr_study.render.rungs import rung_reports, rung_rows
from safr_study.settings import StudySpec
from safr_study.tracking.study_runs import StudyEnd
from safr_study.tracking.writer import StudyWriter


def corpus_facts(corpus: EncodedCorpus) -> dict[str, int | str]:
    """What a study's run says of its data."""
    return {
        "source": corpus.source,
        "classes": len(corpus.class_names),
        "max_len": corpus.max_len,
        "vocabulary": corpus.vocabulary_size,
        **corpus.counts,
    }


def finish_tracking(writer: StudyWriter, ledger: Ledger, *, interrupted: bool) -> str | None:
    """Hand over the ranking, the pictures and the tables, and wait until the server has all.

    Returns:
        What it did not take, as a sentence; the ledger remembers it. ``None``: it has everything.
    """
    # The tables name the runs, so far as the server makes them now.
    writer.catch_up()
    ledger.set_run_ids(writer.runs.run_ids())
    result = rank_ledger(ledger)
    history = hypervolume_history(result)
    with tempfile.TemporaryDirectory() as folder:
        end = StudyEnd(
            result,
            history,
            files=write_files(Path(folder), study_files(ledger, result, history)),
            tables=study_tables(result, history),
            interrupted=interrupted,
        )
        missing = writer.finish(end)
    ledger.set_run_ids(writer.runs.run_ids())
    delivery_ends(ledger, missing, ended=not interrupted)
    return missing


def study_files(
    ledger: Ledger, result: StudyResult, history: tuple[HistoryPoint, ...]
) -> dict[str, Content]:
    """Files that the study's run keeps next to its tables, by their names.

    One more artifact is one more entry here.
    """
    contents = result_files(result, history)
    if result.ranked:
        draw = partial(parallel_figure, result)
        contents |= {f"parallel-coordinates.{kind}": draw for kind in ("png", "svg")}
        contents["front.html"] = front_page(result)
    else:
        contents = {name: made for name, made in contents.items() if name.endswith(".csv")}
    log = study_log(result, command=command_of(ledger), began=began(ledger))
    return {**contents, "space.yaml": _space(ledger.spec), "study.log": log}


def study_tables(
    result: StudyResult, history: tuple[HistoryPoint, ...]
) -> Mapping[str, pd.DataFrame]:
    """The study's tables by the artifact's path."""
    tables = {
        "tables/trials.json": result_table(result),
        "tables/hypervolume.json": history_table(history),
    }
    if rungs := rung_reports(result):
        tables["tables/rungs.json"] = pd.DataFrame(rung_rows(rungs))
    return tables


def _space(spec: StudySpec) -> str:
    plain = spec.space.model_dump(mode="json", exclude_defaults=True)
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
