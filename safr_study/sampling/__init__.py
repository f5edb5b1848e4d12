"""Which settings a study tries, and which trials it ends early: Optuna's samplers and MO-ASHA."""

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
