"""Which runs a table or figure of the paper needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from safr_study.data import EncodedCorpus
from safr_study.errors import BadInput
from safr_study.features.paper.lines import Row, RunLine
from safr_study.features.paper.numbers import PaperRow, paper
from safr_study.features.paper.training import training_key
from safr_study.settings import (
    CorpusSpec,
    EvaluationConfig,
    ModelShape,
    Penalties,
    Preset,
    TrainConfig,
)

Item = Literal["table1", "table2", "table3", "table6", "figure3", "rationale"]
ITEMS: tuple[Item, ...] = get_args(Item)
PAPER_EPOCHS = 100
PAPER_DATASETS = {"sst2-treebank": "sst2", "sst2": "sst2", "imdb": "imdb"}
"""Ours, and the paper's whose numbers stand beside it. ``sst2-treebank`` went through the authors'
filter; ``sst2`` is the full one, which the paper did not use."""


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
    curve: bool = False
    """Measure every metric at every k of the curve, and what Table 3 needs, not k = 30 % alone."""
    capacities: bool = False
    """Measure what Table 3 needs."""

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
            and (line.test.has("srs_auc") or not self.curve)
            and (line.capacities is not None or not self.capacities)
        )


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
    rows = _all_rows(item, dataset)
    names = [entry.row.name for entry in rows]
    for name in only:
        if name not in names:
            raise BadInput("row", f"{item} has no row {name!r}; it has {', '.join(names)}")
    return tuple(entry for entry in rows if not only or entry.row.name in only)


def _all_rows(item: Item, dataset: str) -> tuple[PaperRow, ...]:
    name, tables = paper_dataset(dataset), paper()
    if item == "table6":
        return tables.rows
    if item == "table2":
        if name not in tables.table2:
            raise BadInput(
                "dataset", f"the paper's Table 2 is of SST-2 alone, not of {dataset}; use table6"
            )
        return tables.named(tables.table2[name])
    if item == "rationale" and dataset != "sst2-treebank":
        raise BadInput("dataset", f"{dataset} has no gold rationale; use sst2-treebank")
    rows = tables.named(tables.table1[name])
    # Table 3 is of the SAFR row, the last of Table 1.
    return rows[-1:] if item == "table3" else rows


def wanted_runs(
    item: Item,
    spec: CorpusSpec,
    corpus: EncodedCorpus,
    *,
    seeds: int,
    preset: Preset,
    epochs: int,
    only: Sequence[str] = (),
) -> tuple[WantedRun, ...]:
    """The runs of an item, seed by seed, so that an interrupted study compares all of its rows.

    Figure 3 takes every k, and Table 3 padded passes: more than the other tables.
    """
    wanted = []
    for seed in range(seeds):
        for entry in item_rows(item, spec.dataset, only):
            config = row_config(entry.row, preset=preset, seed=seed, epochs=epochs)
            wanted.append(
                WantedRun(
                    spec=spec,
                    config=config,
                    evaluation=EvaluationConfig(),
                    row=entry.row,
                    key=training_key(config, corpus),
                    corpus=corpus.fingerprint,
                    curve=item == "figure3",
                    capacities=item == "table3",
                )
            )
    return tuple(wanted)


def row_config(row: Row, *, preset: Preset, seed: int, epochs: int = PAPER_EPOCHS) -> TrainConfig:
    """How a row is trained: the paper's model, its learning rate, batch size and patience."""
    return TrainConfig(
        preset=preset,
        shape=ModelShape(vmask=row.vmask),
        penalties=Penalties(lambda_imp=row.lambda_imp, lambda_inter=row.lambda_inter),
        epochs=epochs,
        seed=seed,
    )
