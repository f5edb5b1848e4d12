"""The paper's numbers (Chang, Deng, Chen: SAFR, Findings of NAACL 2025), as frozen records.

They lie beside this module as ``paper_tables.json``, Tables 1-6. All but the capacities are
percentage points of test accuracy, k = 30 %, of single runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from safr_study.features.paper.lines import Row

Metric = Literal["accuracy", "accuracy_random_deletion", "accuracy_capacity_deletion", "srs"]
METRICS: tuple[Metric, ...] = (
    "accuracy",
    "accuracy_random_deletion",
    "accuracy_capacity_deletion",
    "srs",
)
"""The columns of Tables 1, 2 and 6, in the paper's order."""

_FILE = "paper_tables.json"


@dataclass(frozen=True, slots=True)
class PaperNumbers:
    """One row of Table 6 on one data set."""

    accuracy: float
    accuracy_random_deletion: float
    accuracy_capacity_deletion: float
    srs: float

    def value(self, metric: Metric) -> float:
        """The number of one column."""
        return float(getattr(self, metric))


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One row of Table 6, which holds those of Tables 1 and 2."""

    name: str
    vmask: bool
    lambda_imp: float | None
    lambda_inter: float | None
    numbers: Mapping[str, PaperNumbers]
    """Numbers by data set: ``sst2``, ``imdb``."""

    @property
    def row(self) -> Row:
        """What has to be trained."""
        return Row(self.vmask, self.lambda_imp, self.lambda_inter)


@dataclass(frozen=True, slots=True)
class PaperCapacity:
    """Table 3 on one data set: mean FFN1 capacity of the tokens, in [0, 1]."""

    all: float
    important: float
    less_important: float


@dataclass(frozen=True, slots=True)
class Paper:
    """All that the paper's tables say."""

    rows: tuple[PaperRow, ...]
    """Table 6 in its order."""
    table1: Mapping[str, tuple[str, ...]]
    """Names of the rows by data set: baseline, lambda (0, 0), SAFR."""
    table2: Mapping[str, tuple[str, ...]]
    capacities: Mapping[str, PaperCapacity]
    """Table 3, of the SAFR row."""
    important_share: float
    examples: Mapping[str, Mapping[str, int]]
    """Table 4: texts by data set and split."""
    fronts: Mapping[str, tuple[str, ...]]
    """Rows of Table 6 that no other one dominates in (accuracy, SRS)."""

    def row(self, name: str) -> PaperRow:
        """The row of this name.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def named(self, names: tuple[str, ...]) -> tuple[PaperRow, ...]:
        """Several rows by their names."""
        return tuple(self.row(name) for name in names)


@cache
def paper() -> Paper:
    """The paper's tables, read once."""
    plain = json.loads(resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))
    capacities = dict(plain["table3_average_capacity"])
    share = capacities.pop("important_share")
    fronts = dict(plain["pareto_front_table6"])
    del fronts["objective"]
    return Paper(
        rows=tuple(_row(entry) for entry in plain["table6"]),
        table1=_names(plain["table1"]),
        table2=_names(plain["table2"]),
        capacities={name: PaperCapacity(**numbers) for name, numbers in capacities.items()},
        important_share=share,
        examples=plain["table4_examples"],
        fronts=_names(fronts),
    )


def _row(plain: Mapping[str, Any]) -> PaperRow:
    rest = dict(plain)
    fixed = {name: rest.pop(name) for name in ("name", "vmask", "lambda_imp", "lambda_inter")}
    return PaperRow(
        **fixed, numbers={name: PaperNumbers(**numbers) for name, numbers in rest.items()}
    )


def _names(plain: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {dataset: tuple(names) for dataset, names in plain.items()}
