"""Finished runs of the paper's rows without any training."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from plain_scores import a_deletion, made_scores

from safr_study.evaluation import srs
from safr_study.features.paper.lines import (
    DevResult,
    Ffn1Capacities,
    Limits,
    MeanCapacities,
    PaddedCapacities,
    Row,
    RunLine,
    SentimentCapacity,
    read_file,
)
from safr_study.features.paper.rows import Item, PaperRow, RunRequest, WantedRun
from safr_study.features.paper.runs import Drive, RunPlan
from safr_study.home import Home
from safr_study.records import Scores
from safr_study.records.run import Answers, EffectiveWeights, RunResult
from safr_study.runner.source import FixedSource
from safr_study.settings import CURVE_SHARES, CorpusSpec, EvaluationConfig
from safr_study.settings.metrics import OF_CURVE

DRAWS = 10
TEXTS = 400
PLAIN = EvaluationConfig()


def run_line(
    row: Row,
    seed: int,
    *,
    accuracy: float = 72.0,
    random: float = 70.0,
    top: float = 60.0,
    texts: int = TEXTS,
    dominant: float = 0.6,
    **changes: Any,
) -> RunLine:
    """A line whose numbers are counts of right texts near the given percentages.

    The same texts are right in every run of a seed, up to the counts, so rows are paired.
    """
    order = np.random.default_rng(seed).permutation(texts)

    def right(percent: float) -> np.ndarray:
        bits = np.zeros(texts, bool)
        bits[order[: round(texts * percent / 100)]] = True
        return bits

    full, without_top = right(accuracy), right(top)
    draws = np.array([right(random + draw % 2) for draw in range(DRAWS)])
    fixed: dict[str, Any] = {
        "key": hashlib.sha256(f"{row.name} {seed}".encode()).hexdigest()[:16],
        "dataset": "sst2-treebank",
        "corpus": "c0ffee",
        "preset": "masked",
        "vmask": row.vmask,
        "lambda_imp": row.lambda_imp,
        "lambda_inter": row.lambda_inter,
        "seed": seed,
        "limits": Limits(None, None, None),
        "epochs": 12,
        "best_epoch": 9,
        "max_epochs": 100,
        "learning_rate": 1e-4,
        "evaluation": PLAIN,
        "dev": DevResult(73.25, 0.55),
        "test": _scores(full, without_top, draws, dominant),
        "right": Answers.pack(full, {0.3: (without_top, draws)}),
        "capacities": _capacities(seed) if row.vmask else None,
        "sentiment_capacity": SentimentCapacity(0.41, 0.15, 350, 0.26, 0.01),
        "effective": EffectiveWeights(row.lambda_imp or None, 4.25e-8, None),
        "seconds": 60.0,
        "device": "cpu",
        "versions": {"torch": "2.9"},
    }
    return RunLine(**{**fixed, **changes})


def table_lines(
    entries: Sequence[PaperRow], seeds: int, of: str = "sst2", **changes: Any
) -> list[RunLine]:
    """Lines near the paper's own numbers; each seed moves all the rows, and each row a little."""
    lines = []
    for place, entry in enumerate(entries):
        numbers = entry.numbers[of]
        for seed in range(seeds):
            shift = 0.5 * ((seed * 7 + place * 3) % 5 - 2)
            lines.append(
                run_line(
                    entry.row,
                    seed,
                    accuracy=numbers["accuracy"] + shift,
                    random=numbers["accuracy_random_deletion"] + shift,
                    top=numbers["accuracy_capacity_deletion"] - shift,
                    dominant=0.97 if numbers["accuracy_capacity_deletion"] < 52 else 0.6,
                    **changes,
                )
            )
    return lines


def request_of(item: Item, seeds: int, dataset: str = "sst2-treebank") -> RunRequest:
    """An item asked for, without a place for its lines."""
    return RunRequest(item, CorpusSpec(dataset=dataset), seeds, "masked", Path("nowhere"))


def line_of(wanted: WantedRun) -> RunLine:
    """The line that a wanted run asks for."""
    return run_line(
        wanted.row,
        wanted.config.seed,
        key=wanted.key,
        corpus=wanted.corpus,
        dataset=wanted.spec.dataset,
        preset=wanted.config.preset,
        evaluation=wanted.evaluation,
    )


Do = Callable[[WantedRun], RunLine | str]
"""Gives the line of a run, or the sentence of its failure."""


def drive_by(do: Do) -> Drive:
    """The driver without Ray: one run after the other, each done at once."""

    def drive(source_for: Callable[[float], FixedSource], plan: RunPlan, home: Home) -> bool:
        source = source_for(0.0)
        while (task := source.next()) is not None:
            done = do(plan.missing[task.number])
            if isinstance(done, str):
                source.on_end(task, RunResult(*task.key, failure=done))
            else:
                source.on_end(task, RunResult(*task.key, line=done.to_json()))
        return False

    return drive


def do_but_fail_vmask(wanted: WantedRun) -> RunLine | str:
    """The lambda (0, 0) row cannot be trained."""
    if wanted.row.name == "vmask":
        return "epoch 2: the loss is not a finite number"
    return line_of(wanted)


def do_another(wanted: WantedRun) -> RunLine:
    """A fault of ours: the line of another run."""
    return run_line(wanted.row, wanted.config.seed)


class Heard:
    """Progress that is written down."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.left: list[int] = []
        self.troubles: dict[str, str] = {}

    def __call__(self, sentence: str) -> None:
        label, finished, numbers = sentence.partition(": accuracy ")
        failed = re.fullmatch(r"warning: (.*?) failed: (.*)", sentence, re.DOTALL)
        if failed is not None:
            self.troubles[failed[1]] = failed[2]
        elif finished:
            left = re.search(r"; (\d+) left, ", numbers)
            self.done.append(label)
            self.left.append(int(left[1]) if left is not None else 0)


def file_lines(path: Path) -> list[str]:
    """The lines of a file without their ends."""
    return path.read_text("utf-8").splitlines()


def all_lines(folder: Path) -> list[RunLine]:
    """The runs of all files of a folder, file by file."""
    return [line for path in sorted(folder.glob("*.jsonl")) for line in read_file(path)]


def _scores(full: Any, top: Any, draws: Any, dominant: float) -> Scores:
    def deletion(k: float) -> dict[str, Any]:
        # Deletions of other sizes lie on the line from the whole text to 30 %.
        share = k / 0.3
        lost = srs.srs(full, top)
        random = srs.accuracy(draws)
        accuracy = srs.accuracy(full)
        return a_deletion(
            k=k,
            realised_share=k,
            accuracy_top=accuracy - share * lost,
            srs=share * lost,
            srs_se=srs.srs_se(full, top),
            accuracy_random=accuracy + share * (random - accuracy),
            srs_excess=share * (lost - accuracy + random),
            dominant_share=dominant,
        )

    return made_scores(
        split="test",
        examples=len(full),
        accuracy=srs.accuracy(full),
        accuracy_se=srs.accuracy_se(full),
        majority_accuracy=50.0,
        loss=0.6123456789,
        deletions=tuple(deletion(k) for k in CURVE_SHARES if k),
        curve=dict(zip(OF_CURVE, (6.0, 3.0, 1.0, 0.5), strict=True)),
    )


def _capacities(seed: int) -> Ffn1Capacities:
    def means(scale: float) -> MeanCapacities:
        moved = scale * (1 + 0.01 * (seed - 1))
        return MeanCapacities(*(round(value * moved, 6) for value in (0.1925, 0.4141, 0.0975)))

    return Ffn1Capacities(
        pre=PaddedCapacities(means(1.0), means(0.7)), post=PaddedCapacities(means(1.6), means(1.2))
    )
