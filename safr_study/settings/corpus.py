"""Which texts a study uses, and how they are read."""

from __future__ import annotations

from pydantic import Field

from safr_study.settings.base import Settings

PAD, UNK = 0, 1
"""Ids of a position without a word, and of a word outside the vocabulary."""


class CorpusSpec(Settings):
    """A data set by name or path, and everything that changes what the model sees of it."""

    dataset: str = Field(min_length=1, max_length=4096)
    """``planted[:variant]``, ``sst2``, ``sst2-treebank``, ``imdb``, a hub id, or a path."""
    text_column: str | None = None
    """Column of the texts; ``None``: the only usual name that the file has."""
    label_column: str | None = None
    """Column of the labels; ``None``: the only usual name that the file has."""
    max_len: int | None = Field(default=None, ge=1, le=4096)
    """Tokens kept of each text; ``None``: 256 for ``imdb``, 128 for all others."""
    min_count: int = Field(default=2, ge=1)
    """A word enters the vocabulary when the training texts have it this often."""
    train_limit: int | None = Field(default=None, ge=2)
    """Most training texts, drawn by a seeded stratified sample."""
    dev_limit: int | None = Field(default=None, ge=2)
    """Most dev texts, drawn by a seeded stratified sample."""
    test_limit: int | None = Field(default=None, ge=2)
    """Most test texts, drawn by a seeded stratified sample."""
    split_seed: int = Field(default=0, ge=0)
    """Seed of splits and limits: apart from the study's, so that studies share their dev set."""
