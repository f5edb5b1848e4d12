"""Seeded stratified samples: a missing dev split, and limits."""

from __future__ import annotations

import numpy as np

from safr_study.data.corpus import Ints, Split
from safr_study.errors import BadInput

DEV_SHARE = 0.2
"""Share of train that becomes dev, where no dev split is given."""
_DEV_STREAM, _LIMIT_STREAM = 1, 2


def split_dev(train: Split, class_names: tuple[str, ...], seed: int) -> tuple[Split, Split]:
    """Cut a stratified dev split of 20 % out of train; both keep the order of the source.

    Raises:
        BadInput: a class has fewer than two examples, so it cannot be on both sides.
    """
    sizes = np.bincount(train.labels, minlength=len(class_names))
    for name, size in zip(class_names, sizes, strict=True):
        if size == 1:
            raise BadInput(
                "dataset",
                f"class {name!r} has 1 training example, too few to make a dev split; "
                "give a validation split, or two examples or more of each class",
            )
    present = int(np.count_nonzero(sizes))
    wanted = max(round(DEV_SHARE * train.examples), present)
    rows = stratified_rows(train.labels, wanted, np.random.default_rng([seed, _DEV_STREAM]))
    rest = np.setdiff1d(np.arange(train.examples), rows, assume_unique=True)
    return train.take(rest), train.take(rows)


def limit_split(split: Split, limit: int | None, seed: int, *, field: str) -> Split:
    """A stratified sample of at most ``limit`` texts, in the order of the source.

    Raises:
        BadInput: the limit is below the number of classes; ``field`` names it.
    """
    if limit is None or split.examples <= limit:
        return split
    present = len(np.unique(split.labels))
    if limit < present:
        raise BadInput(field, f"{limit} texts cannot hold {present} classes; raise the limit")
    rng = np.random.default_rng([seed, _LIMIT_STREAM])
    return split.take(stratified_rows(split.labels, limit, rng))


def stratified_rows(labels: Ints, size: int, rng: np.random.Generator) -> Ints:
    """Draw ``size`` rows so that each class has its share, rounded, and at least one.

    Args:
        labels: ``[N]``.
        size: rows to draw; at least the number of classes present, at most N.
        rng: decides which rows of a class.

    Returns:
        ``[size]`` row numbers, ascending.
    """
    classes, counts = np.unique(labels, return_counts=True)
    quotas = _quotas(counts, size)
    drawn = [
        rng.choice(np.flatnonzero(labels == label), size=quota, replace=False)
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def _quotas(counts: Ints, size: int) -> Ints:
    """Largest remainders; then a class without any takes one from the most favoured class."""
    shares = counts * size / counts.sum()
    quotas: Ints = np.floor(shares).astype(np.int64)
    remainders = np.argsort(-(shares - quotas), kind="stable")
    quotas[remainders[: size - quotas.sum()]] += 1
    while (quotas == 0).any():
        favour = np.where(quotas > 1, quotas - shares, -np.inf)
        quotas[np.argmax(favour)] -= 1
        quotas[np.argmin(quotas)] += 1
    return quotas
