"""Distributed hyperparameter studies of interpretable text classifiers (SAFR).

    import safr_study as ss

    study = ss.search("sst2", study="s1", trials=12, epochs=8)
    study.pareto()
    model = study.model()
    model.explain("a gripping , funny film")

`safr_study.api` has all of it; it is imported at the first use, as torch, Ray and MLflow are slow.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "api": ("search", "studies", "open_study", "import_study", "models", "compare", "load",
            "Study", "Front", "Model", "Explained"),
    "errors": ("SafrError", "BadInput", "BadInputs", "StudyIncomplete", "ServiceUnreachable",
               "StudyInterrupted", "CorruptCheckpoint"),
}  # fmt: skip
_MODULES = {name: module for module, names in _LAZY.items() for name in names}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
