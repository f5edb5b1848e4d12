"""A study whose trials take no time, run as a script: ``main`` has its arguments.

All but the training is the real thing: Ray's workers, the ledger, MLflow, the registry.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from run_results import run_result
from stored_study import epoch
from tiny_model import save_tiny_model

import safr_study.runner.worker as real
from safr_study.checkpoint.manifest import verify_model
from safr_study.cli.progress import Reporter
from safr_study.features.search.search import search
from safr_study.features.study_base.stores import open_stores
from safr_study.records import Replicate
from safr_study.runner.task import RunTask, event
from safr_study.settings import CorpusSpec, SchedulerConfig, StudySpec, TrainConfig
from safr_study.settings.space_files import find_space

TRIALS, EPOCHS = 12, 3
REPORTS = tuple(epoch(number) for number in range(1, EPOCHS + 1))


def simulated(config: dict[str, Any], corpus: Any, work: Any = None) -> None:
    """What stands for a trial: objectives that follow from its study and number."""
    from ray import tune

    task = RunTask.from_config(config)
    # What is registered is verified first: a small model, that was not trained.
    folder = save_tiny_model(Path(task.folder) / "model", seed=task.number)
    draw = hashlib.sha256(f"{task.folder} {task.number}".encode()).digest()
    for report in REPORTS:
        tune.report(event(report))
    ended = run_result(
        Replicate(task.train.seed, (50 + draw[0] / 8, draw[1] / 8)),
        trial=task.number,
        checkpoint=verify_model(folder),
        seconds=1.0,
        epochs=EPOCHS,
    )
    tune.report(event(ended))


def main(home: str, name: str, seed: str, address: str, ledger: str, tracking: str) -> None:
    # Before the driver is imported, which takes it from there.
    real.trainable = simulated
    spec = StudySpec(
        name=name,
        corpus=CorpusSpec(dataset="planted", train_limit=100, dev_limit=100),
        space=find_space("smoke"),
        scheduler=SchedulerConfig(name="none"),
        trials=TRIALS,
        seed=int(seed),
        train=TrainConfig(epochs=EPOCHS),
        resources={"max_concurrent": 1},
    )
    places = open_stores(home, tracking_uri=tracking, storage=ledger, address=address)
    outcome = search(spec, places, progress=Reporter(None))
    front = sorted(ranked.trial.number for ranked in outcome.result.front)
    sys.stdout.write(json.dumps({"front": front, "untracked": outcome.untracked}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
