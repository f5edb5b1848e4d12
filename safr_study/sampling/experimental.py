"""Optuna's notices about features that may change: the pinned range has them, tests use them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import optuna


@contextlib.contextmanager
def experimental_allowed() -> Iterator[None]:
    """Silence Optuna's notice about one experimental feature that is used on purpose.

    See https://optuna.readthedocs.io/en/stable/reference/exceptions.html
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
