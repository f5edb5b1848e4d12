"""A table of trainings as a file: one line of JSON for each finished training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from benchmarks.curves import LEVELS, Curve, Pair, Vector
from benchmarks.result_lines import line_of, made_of, parsed_lines
from safr_study.errors import BadInput

SCHEMA = 1
"""Of a line; raise it when a field changes."""
COARSE = tuple(LEVELS[index] for index in (0, 1, 3, 5, 7))
"""Levels of the sub-grid that is trained first."""


@dataclass(frozen=True, slots=True)
class TableLine:
    """One training of the table, epoch by epoch; what is measured after each epoch is a list."""

    dataset: str
    corpus: str
    """Fingerprint."""
    limits: Mapping[str, int | None]
    """At most so many texts of each split."""
    majority_accuracy: float
    """On dev, percentage points: the reference of the hypervolume."""
    preset: str
    pair: Pair | None
    """lambda_imp and lambda_inter; ``None``: without VMASK."""
    seed: int
    epochs: int
    """Trained, without early stopping."""
    train: Mapping[str, Any]
    """Settings of the training that are not the default, but for lambdas and seed."""
    evaluation: Mapping[str, Any]
    """Settings of the evaluation that are not the default."""
    rung_texts: tuple[int, ...]
    """Sizes of the fixed subsamples of dev; the first is the scheduler's."""
    loss: tuple[float, ...]
    """On dev."""
    accuracy: tuple[float, ...]
    """On dev, percentage points."""
    srs: tuple[float, ...]
    """SRS(30) on dev, percentage points."""
    dominant_share: tuple[float, ...]
    """Of the predictions without the top 30 %, in [0, 1]; above 0.95 SRS is saturated."""
    rung_accuracy: tuple[tuple[float, ...], ...]
    """For each size of ``rung_texts`` a list over the epochs."""
    rung_srs: tuple[tuple[float, ...], ...]
    seconds: tuple[float, ...]
    """Wall time of each epoch, evaluation included."""
    device: str
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        lists = [self.loss, self.accuracy, self.srs, self.dominant_share, self.seconds]
        lists += [*self.rung_accuracy, *self.rung_srs]
        if any(len(values) != self.epochs for values in lists):
            raise ValueError(f"{self.epochs} epochs need as many values in every list")
        if not len(self.rung_texts) == len(self.rung_accuracy) == len(self.rung_srs):
            raise ValueError("each size of a rung needs a list of accuracies and one of SRS")

    @property
    def settings(self) -> dict[str, Any]:
        """What is the same in all lines of a file."""
        names = ("dataset", "corpus", "limits", "preset", "epochs", "train", "evaluation")
        return {name: getattr(self, name) for name in (*names, "rung_texts")}

    def to_text(self) -> str:
        """As one line, without its end."""
        plain = {"schema": SCHEMA, **{f.name: getattr(self, f.name) for f in fields(self)}}
        return json.dumps(plain, allow_nan=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The inverse of ``to_text``.

        Raises:
            ValueError: it is no line of this schema.
        """
        plain = line_of(text, SCHEMA)
        return made_of(cls, {name: _tuples(value) for name, value in plain.items()})

    def curve(self, texts: int) -> Curve:
        """As a replay needs it, with rungs of so many texts."""
        index = self.rung_texts.index(texts)
        at_rung = zip(self.rung_accuracy[index], self.rung_srs[index], strict=True)
        return Curve(
            values=tuple(zip(self.accuracy, self.srs, strict=True)),
            rung_values=tuple(at_rung),
            loss=self.loss,
        )


def read_lines(path: Path) -> list[TableLine]:
    """The trainings in a file, in the file's order.

    Raises:
        BadInput: a line that is not the torn last one cannot be read.
    """
    return parsed_lines(path, TableLine.from_text, field="table")


@dataclass(frozen=True, slots=True, eq=False)
class FileTable:
    """The largest whole grid that a file's trainings make, as a table."""

    name: str
    epochs: int
    seeds: int
    levels: tuple[float, ...]
    reference: Vector
    curves: Mapping[tuple[Pair | None, int], Curve]

    @classmethod
    def of(cls, name: str, lines: Sequence[TableLine], *, texts: int) -> Self:
        """From trainings: all levels if they are there, else the coarse ones.

        Args:
            name: of the table.
            lines: all of the same settings.
            texts: of a rung; one of the sizes that were measured.

        Raises:
            BadInput: not even the coarse grid is whole, or no rung has so many texts.
        """
        if lines and texts not in lines[0].rung_texts:
            sizes = ", ".join(map(str, lines[0].rung_texts))
            raise BadInput("texts", f"no rung of {texts} texts was measured; give one of {sizes}")
        curves = {(line.pair, line.seed): line.curve(texts) for line in lines}
        for levels in (LEVELS, COARSE):
            pairs = [None, *((imp, inter) for imp in levels for inter in levels)]
            seeds = 0
            while all((pair, seeds) in curves for pair in pairs):
                seeds += 1
            if seeds:
                reference = (lines[0].majority_accuracy, 0.0)
                return cls(name, lines[0].epochs, seeds, levels, reference, curves)
        raise BadInput("table", f"{name} lacks trainings of its coarse grid; train it further")

    def curve(self, pair: Pair | None, seed: int) -> Curve:
        """One training."""
        return self.curves[pair, seed]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
