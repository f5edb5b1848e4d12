"""The rows of the paper's tables with their published numbers, and the runs that an item needs.

The numbers (Chang, Deng, Chen: SAFR, Findings of NAACL 2025) lie beside this module as
``paper_tables.json``, Tables 1-6. All but the capacities are percentage points of test accuracy,
k = 30 %, of single runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from safr_study.data import EncodedCorpus
from safr_study.errors import BadInput
from safr_study.features.paper.lines import MeanCapacities, Row, RunLine, line_path
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    ModelShape,
    Penalties,
    Preset,
    TrainConfig,
    fingerprint_of,
)

Metric = Literal["accuracy", "accuracy_random_deletion", "accuracy_capacity_deletion", "srs"]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""The columns of Tables 1, 2 and 6, in the paper's order."""
Item = Literal["table1", "table2", "table3", "table6", "figure3", "rationale"]
PAPER_EPOCHS = 100
PAPER_K = 0.3
"""k of the paper's tables."""
PART_TEXTS = 5_000
PART_DRAWS = 2
"""Test texts, and random draws of each k, where all but ``PAPER_K`` is measured on a part."""
PAPER_DATASETS = {"sst2-treebank": "sst2", "sst2": "sst2", "imdb": "imdb"}
"""Ours, and the paper's whose numbers stand beside it. ``sst2-treebank`` went through the authors'
filter; ``sst2`` is the full one, which the paper did not use."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One row of Table 6, which holds those of Tables 1 and 2."""

    name: str
    vmask: bool
    lambda_imp: float | None
    lambda_inter: float | None
    numbers: Mapping[str, Mapping[Metric, float]]
    """Numbers by data set, ``sst2`` and ``imdb``, and by column."""

    @property
    def row(self) -> Row:
        """What has to be trained."""
        return Row(self.vmask, self.lambda_imp, self.lambda_inter)


def lines_of(entry: PaperRow, lines: Sequence[RunLine]) -> list[RunLine]:
    """The runs of a row, by seed."""
    return sorted((line for line in lines if line.row == entry.row), key=lambda line: line.seed)


@dataclass(frozen=True, slots=True)
class Paper:
    """What the paper's tables say."""

    rows: tuple[PaperRow, ...]
    """Table 6 in its order."""
    table1: Mapping[str, Sequence[str]]
    """Names of the rows by data set: baseline, lambda (0, 0), SAFR."""
    table2: Mapping[str, Sequence[str]]
    capacities: Mapping[str, MeanCapacities]
    """Table 3, of the SAFR row: mean FFN1 capacity of the tokens, in [0, 1]."""
    examples: Mapping[str, Mapping[str, int]]
    """Table 4: texts by data set and split."""

    def named(self, names: Sequence[str]) -> tuple[PaperRow, ...]:
        """Several rows by their names.

        Raises:
            KeyError: there is no such row.
        """
        by_name = {row.name: row for row in self.rows}
        return tuple(by_name[name] for name in names)


@cache
def paper() -> Paper:
    """The paper's tables, read once."""
    file = resources.files(__package__).joinpath("paper_tables.json")
    plain = json.loads(file.read_text(encoding="utf-8"))
    of_row, datasets = ("name", "vmask", "lambda_imp", "lambda_inter"), ("sst2", "imdb")
    capacities = plain["table3_average_capacity"]
    return Paper(
        rows=tuple(
            PaperRow(
                **{name: entry[name] for name in of_row},
                numbers={name: entry[name] for name in datasets},
            )
            for entry in plain["table6"]
        ),
        table1=plain["table1"],
        table2=plain["table2"],
        capacities={name: MeanCapacities(**capacities[name]) for name in datasets},
        examples=plain["table4_examples"],
    )


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for."""

    item: Item
    spec: CorpusSpec
    seeds: int
    """Number of seeds, from 0 on."""
    preset: Preset
    results: Path
    """Folder of the lines."""
    epochs: int = PAPER_EPOCHS
    workers: int | None = None
    """Runs at once; ``None``: one for each GPU, else one for each core."""
    only: tuple[str, ...] = ()
    """Names of rows; none: all of the item's."""
    address: str | None = None
    """Ray; ``None``: a cluster on this machine for the time of the runs."""
    checkpoints_url: str | None = None
    """Object store of the trained models; ``None``: the home."""
    part: bool = False
    """Whether each run also has the curve, Table 3's capacities and the other rankings, on
    `PART_TEXTS` of the test texts."""

    @property
    def file(self) -> Path:
        """The file of the lines."""
        return line_path(self.results, self.spec.dataset, self.preset)

    @property
    def rows(self) -> tuple[PaperRow, ...]:
        """The rows asked for; raises as `item_rows`."""
        return item_rows(self.item, self.spec.dataset, self.only)


@dataclass(frozen=True, slots=True)
class WantedRun:
    """One run that an item needs, and what decides its numbers."""

    spec: CorpusSpec
    config: TrainConfig
    evaluation: EvaluationConfig
    row: Row
    key: str
    """Key of the training."""
    corpus: str
    """Fingerprint of the encoded texts."""
    extras: tuple[str, ...] = ()
    """More than k = 30 %: ``curve``, every metric at every k of the curve and what Table 3 needs;
    ``capacities``, what Table 3 needs; ``part``, all of this on `PART_TEXTS` of the test texts."""

    @property
    def label(self) -> str:
        """Label of the run: ``safr(1, 0.1) seed 2``."""
        return f"{self.row.name} seed {self.config.seed}"

    def is_met_by(self, line: RunLine) -> bool:
        """Whether a line is this very run: its training, its texts, its evaluation."""
        return (
            line.key == self.key
            and line.corpus == self.corpus
            and line.evaluation == self.evaluation
            and (line.curve.has("srs_auc") or not {"curve", "part"} & {*self.extras})
            and (line.capacities is not None or "capacities" not in self.extras)
        )


_EXTRAS = {"figure3": ("curve",), "table3": ("capacities",)}
_PART = ("part",)


def training_key(config: TrainConfig, corpus: EncodedCorpus) -> str:
    """What decides a training's numbers, in 16 hexadecimal digits.

    A setting at its default has no part in it, so that a new setting leaves the old keys alone.
    """
    settings = config.model_dump(mode="json", exclude_defaults=True)
    return fingerprint_of([settings, corpus.fingerprint])[:16]


def paper_dataset(dataset: str) -> str:
    """The paper's name of a data set.

    Raises:
        BadInput: the paper has no numbers of it.
    """
    if dataset not in PAPER_DATASETS:
        raise BadInput(
            "dataset",
            f"the paper has no numbers of {dataset!r}; use one of {', '.join(PAPER_DATASETS)}",
        )
    return PAPER_DATASETS[dataset]


def item_rows(item: Item, dataset: str, only: Sequence[str] = ()) -> tuple[PaperRow, ...]:
    """The rows of an item in the paper's order.

    Args:
        item: a table or a figure.
        dataset: as the user named it.
        only: names of rows, ``safr(1, 0.1)``; none: all of them.

    Raises:
        BadInput: the paper has no numbers of the data set, or not this item of it, or not such a
            row.
    """
    name, tables = paper_dataset(dataset), paper()
    if item == "table2" and name not in tables.table2:
        raise BadInput(
            "dataset", f"the paper's Table 2 is of SST-2 alone, not of {dataset}; use table6"
        )
    if item == "rationale" and dataset != "sst2-treebank":
        raise BadInput("dataset", f"{dataset} has no gold rationale; use sst2-treebank")
    rows = tables.rows
    if item != "table6":
        rows = tables.named((tables.table2 if item == "table2" else tables.table1)[name])
    if item == "table3":
        rows = rows[-1:]  # Of the SAFR row, the last of Table 1.
    names = [entry.name for entry in rows]
    for one in only:
        if one not in names:
            raise BadInput("row", f"{item} has no row {one!r}; it has {', '.join(names)}")
    return tuple(entry for entry in rows if not only or entry.name in only)


def wanted_runs(request: RunRequest, corpus: EncodedCorpus) -> tuple[WantedRun, ...]:
    """The runs of an item, seed by seed, so that an interrupted study compares all of its rows.

    Figure 3 takes every k, and Table 3 padded passes: more than the other tables.
    """
    configs = [
        (entry.row, row_config(entry.row, request.preset, seed, request.epochs))
        for seed in range(request.seeds)
        for entry in request.rows
    ]
    return tuple(
        WantedRun(
            spec=request.spec,
            config=config,
            evaluation=EvaluationConfig(),
            row=row,
            key=training_key(config, corpus),
            corpus=corpus.fingerprint,
            extras=_PART if request.part else _EXTRAS.get(request.item, ()),
        )
        for row, config in configs
    )


def row_config(row: Row, preset: Preset, seed: int, epochs: int = PAPER_EPOCHS) -> TrainConfig:
    """How a row is trained: the paper's model, its learning rate, batch size and patience."""
    return TrainConfig(
        preset=preset,
        shape=ModelShape(vmask=row.vmask),
        penalties=Penalties(lambda_imp=row.lambda_imp, lambda_inter=row.lambda_inter),
        epochs=epochs,
        seed=seed,
    )
