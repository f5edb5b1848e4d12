"""Fast forms of the model's functions, and the switch between them and the textbook forms.

Each function here has its equation and its plain form in the module of the same subject in
`safr_study.model`; tests hold the two equal, in values and in gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_SWITCHES = [True]
"""Innermost last; a list, so that `textbook` may be nested."""


def fast() -> bool:
    """Whether the fast forms are used, as they are outside `textbook`."""
    return _SWITCHES[-1]


@contextmanager
def textbook() -> Iterator[None]:
    """Compute by the plain forms alone, in this process: several times slower."""
    _SWITCHES.append(False)
    try:
        yield
    finally:
        _SWITCHES.pop()
